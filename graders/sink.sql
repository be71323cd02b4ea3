-- The grader's eyes and hands in the program's database. Everything here belongs to the superuser;
-- the program can neither see into the schema nor switch the triggers off. Functions run with the
-- superuser's rights, so they name every object with its schema and search pg_catalog only.

create schema grader;
revoke all on schema grader from public;

-- Nobody who sees the grader's advisory locks could leave them alone.
revoke all on pg_catalog.pg_locks from public;
revoke all on function pg_catalog.pg_lock_status() from public;

-- One row per inserted row of an effect table, and per row of an outbox that is marked as published,
-- written in the program's own transaction: it is there exactly if that transaction committed.
-- Without an index, so serializable programs meet no conflict.
create table grader.effect_log (
    seq       bigint generated always as identity,
    kind      text not null,      -- 'effect' or 'marked'
    "table"   text not null,
    "row"     jsonb not null,
    txid      xid8 not null default pg_current_xact_id(),
    port      int default inet_client_port()
);

create function grader.log_effect() returns trigger language plpgsql security definer
set search_path = pg_catalog set timezone = 'UTC' as $$
declare
    logged bigint;
begin
    insert into grader.effect_log (kind, "table", "row")
        values (tg_argv[0], tg_table_name, to_jsonb(new))
        returning seq into logged;
    -- Notifications arrive in the order of commits.
    perform pg_notify('grader_effects', logged::text);
    return null;
end $$;

-- Armed faults. A fault acts on its matches first..last; a sequence counts them, also those whose
-- transaction rolls back. A hold waits for an advisory lock that the grader keeps.
create table grader.fault (
    id        int primary key,
    "table"   text not null,
    moment    text not null,      -- 'insert' (of a row, or an update of one), 'commit', or 'change'
    matches   jsonb not null,     -- columns the row must have
    first     bigint not null,
    last      bigint not null,
    lock_key  int,                -- of a hold
    sqlstate  text                -- of a failure
);

create function grader.meet(fault grader.fault) returns void language plpgsql
set search_path = pg_catalog as $$
declare
    number bigint := nextval('grader.matches_' || fault.id);
begin
    if number < fault.first or number > fault.last then
        return;
    end if;
    if fault.sqlstate is not null then
        raise exception 'could not complete the statement, please try again'
            using errcode = fault.sqlstate;
    end if;
    perform pg_advisory_xact_lock_shared(fault.lock_key, fault.id);
end $$;

create function grader.apply_faults() returns trigger language plpgsql security definer
set search_path = pg_catalog as $$
declare
    fault grader.fault;
begin
    for fault in
        select * from grader.fault f
        where f."table" = tg_table_name and f.moment = tg_argv[0] and to_jsonb(new) @> f.matches
        order by f.id
    loop
        perform grader.meet(fault);
    end loop;
    return null;
end $$;

-- Faults on tables of the program's own. What is in their rows is not looked at: the types of their
-- columns, and what converts them, may be the program's, and would run as the superuser.
create function grader.apply_own_faults() returns trigger language plpgsql security definer
set search_path = pg_catalog as $$
declare
    fault grader.fault;
begin
    for fault in
        select * from grader.fault f where f."table" = tg_table_name and f.moment = 'change'
    loop
        perform grader.meet(fault);
    end loop;
    return null;
end $$;
