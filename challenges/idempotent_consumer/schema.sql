-- The tables that exist before the program starts. The program's role may do what is granted
-- here and may create tables of its own in schema public; it owns neither of these two.

create table ledger (
    entry       bigserial   primary key,
    event_id    text        not null,
    account     text        not null,
    amount      bigint      not null,
    written_at  timestamptz not null default now()
);
-- Deliberately not unique: refusing a second row is the program's task.
create index ledger_event_id on ledger (event_id);

create table balances (
    account  text    primary key,
    balance  bigint  not null
);

grant select, insert on ledger to :program;
grant usage on sequence ledger_entry_seq to :program;
grant select, insert, update on balances to :program;
