-- The table that exists before the program starts. The program's role may do what is granted here
-- and may create tables of its own in schema public; it does not own this one.

create table applied (
    entry       bigserial   primary key,
    change_id   text        not null,
    item        text        not null,
    version     bigint      not null,
    stock       bigint      not null,
    applied_at  timestamptz not null default now()
);
-- Deliberately not unique: refusing a second row is the program's task.
create index applied_change_id on applied (change_id);

grant select, insert on applied to :program;
grant usage on sequence applied_entry_seq to :program;
