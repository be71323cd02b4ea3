-- The table that exists before the program starts. The program's role may do what is granted here
-- and may create tables of its own in schema public; it does not own this one.

create table invoices (
    number      bigserial   primary key,
    order_id    text        not null,
    customer    text        not null,
    amount      bigint      not null,
    written_at  timestamptz not null default now()
);
-- Deliberately not unique: a second invoice must be seen, not refused.
create index invoices_order_id on invoices (order_id);

grant select, insert on invoices to :program;
grant usage on sequence invoices_number_seq to :program;
