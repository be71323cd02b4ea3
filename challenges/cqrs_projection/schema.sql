-- The table that exists before the program starts. The program's role may do what is granted here
-- and creates the tables of its view in schema public; it does not own this one.

create table reviews (
    entry       bigserial   primary key,
    event_id    text        not null,
    order_id    text        not null,
    cents       bigint      not null,
    noted_at    timestamptz not null default now()
);
-- Deliberately not unique: refusing a second row is the program's task.
create index reviews_event_id on reviews (event_id);

grant select, insert on reviews to :program;
grant usage on sequence reviews_entry_seq to :program;
