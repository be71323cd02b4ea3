"""Programs that want more of the database than is granted, or make others wait for it."""

import psycopg
from honest import database, work


def attempts(*statements):
    """Print how each statement ended."""
    with database() as db:
        for statement in statements:
            try:
                print(statement[:60], db.execute(statement).statusmessage)
            except psycopg.Error as error:
                print(statement[:60], error.sqlstate)


def administers():
    attempts(
        "drop table ledger",
        "drop schema grader cascade",
        "truncate ledger",
        "delete from ledger",
        "update ledger set amount = 0",
        "alter table ledger disable trigger all",
        "create trigger mine before insert on ledger execute function now()",
        "drop trigger grader_1_log on ledger",
        "set session_replication_role = replica",
        "select * from grader.effect_log",
        "insert into grader.effect_log (kind) values ('effect')",
        "select pg_notify('grader_effects', 'nonsense')",
        "copy ledger from program 'id'",
        "copy (select 1) to '/tmp/x'",
        "select pg_read_file('/etc/passwd')",
        "alter system set max_connections = 1",
        "create role mine superuser",
        "set role postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity",
        "create extension dblink",
        "create function f() returns int language c as 'libc', 'system'",
        "select lo_import('/etc/passwd')",
        "set statement_timeout = 1",
        "prepare transaction 'left'",
        "create database mine",
        "alter table balances owner to current_user",
        "comment on table ledger is 'mine'",
    )
    work()


def notifies():
    """The grader listens on that channel; these are no numbers of its log."""
    with database() as db:
        for text in ("nonsense", "-1", "9" * 40, "", "1; drop", "\u0661"):
            db.execute("select pg_notify('grader_effects', %s)", (text,))
        for number in range(500):
            db.execute("select pg_notify('grader_effects', %s)", (str(number),))
    work()


def shadows_what_the_grader_uses():
    """Functions, operators and tables of the names that a trigger may look for."""
    attempts(
        "create function public.to_jsonb(anyelement) returns jsonb language sql as 'select null'",
        "create function public.pg_notify(text, text) returns void language sql as ''",
        "create table public.effect_log (seq int)",
        "create table public.pg_locks (pid int)",
        "alter role current_user set search_path = public, pg_catalog",
        "set search_path = public, pg_catalog",
        "create temp table ledger (event_id text, account text, amount bigint)",
    )
    work()


def opens_every_connection():
    kept = []
    for _ in range(500):
        try:
            kept.append(database())
        except psycopg.Error as error:
            print(len(kept), str(error)[:100])
            break
    kept.clear()
    work()


def takes_every_lock():
    """Locks of a session outlive the error that says there are no more."""
    with database() as db:
        try:
            db.execute("select pg_advisory_lock(n) from generate_series(1, 1000000) n")
        except psycopg.Error as error:
            print(error.sqlstate)
        work()


def fills_the_queue_of_notifications():
    """A listener that stays in its transaction keeps all that is sent from then on."""
    with database() as listener, database() as db:
        listener.execute("listen everything")
        listener.execute("begin")
        listener.execute("select 1")
        try:
            while True:
                db.execute(
                    "select pg_notify('everything', n || repeat('x', 7000))"
                    " from generate_series(1, 1000) n"
                )
        except psycopg.Error as error:
            print(error.sqlstate)
        work()
