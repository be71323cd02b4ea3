-- The tables that exist before the program starts. The program's role may do what is granted
-- here and may create tables of its own in schema public; it owns none of these.

create table stock (
    product    text    primary key,
    available  bigint  not null check (available >= 0)
);
insert into stock select 'prod-' || n, 1000 from generate_series(1, 20) as n;

-- Deliberately not unique: refusing a second row is the program's task.
create table reservations (
    entry       bigserial    primary key,
    order_id    text         not null,
    product     text         not null,
    quantity    bigint       not null,
    written_at  timestamptz  not null default now()
);
create index reservations_order_id on reservations (order_id);

create table releases (
    entry       bigserial    primary key,
    order_id    text         not null,
    product     text         not null,
    quantity    bigint       not null,
    written_at  timestamptz  not null default now()
);
create index releases_order_id on releases (order_id);

create table deliveries (
    entry       bigserial    primary key,
    order_id    text         not null,
    product     text         not null,
    quantity    bigint       not null,
    address     text         not null,
    written_at  timestamptz  not null default now()
);
create index deliveries_order_id on deliveries (order_id);

grant select, update on stock to :program;
grant select, insert on reservations, releases, deliveries to :program;
grant usage on sequence reservations_entry_seq, releases_entry_seq, deliveries_entry_seq to :program;
