-- The tables that exist before the program starts. The program's role may do what is granted
-- here and may create tables of its own in schema public; it owns neither of these two.

create table events (
    entry        bigserial       primary key,
    account      text            not null,
    version      int             not null,
    command_id   text            not null,
    type         text            not null,
    format       int             not null default 2,
    data         jsonb           not null,
    recorded_at  timestamptz(3)  not null default clock_timestamp()
);
-- Deliberately not unique: that each version is there once is the program's task.
create index events_account_version on events (account, version);
create index events_command_id on events (command_id);

create table snapshots (
    account   text            not null,
    version   int             not null,
    balance   bigint          not null,
    taken_at  timestamptz(3)  not null default clock_timestamp()
);
create index snapshots_account_version on snapshots (account, version);

-- A log is only appended to. That is the program's discipline, not a matter of grants.
grant select, update, delete on events to :program;
grant insert (account, version, command_id, type, format, data) on events to :program;
grant usage on sequence events_entry_seq to :program;
grant select, insert, delete on snapshots to :program;
