-- The tables that exist before the program starts. The program's role may do what is granted here
-- and may create tables of its own in schema public; it does not own these.

create table bookings (
    booking  text    primary key,
    version  bigint  not null,
    seats    bigint  not null
);

create table outbox (
    id          bigserial    primary key,
    change_id   text         not null,
    booking     text         not null,
    version     bigint       not null,
    seats       bigint       not null,
    created_at  timestamptz  not null default now(),
    published   boolean      not null default false,
    unique (booking, version)
);
-- Deliberately not unique: refusing a second row for a change is the program's task.
create index outbox_change_id on outbox (change_id);

create function announce() returns trigger language plpgsql as $$
begin
    perform pg_notify('outbox', new.booking);
    return null;
end $$;
create trigger announce after insert on outbox for each row execute function announce();

-- Columns, not tables, so that nobody can lock out the others who write here.
grant select, insert, update (version, seats) on bookings to :program;
grant select, insert, update (published) on outbox to :program;
grant usage on sequence outbox_id_seq to :program;
