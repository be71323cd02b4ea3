"""The live view of a run: everything, in order, from any point on, and an end."""

import threading

import psycopg
import pytest

from webapp.grading import leases
from webapp.live import hub as hub_module
from webapp.live.hub import Hub, TooManyStreams
from webapp.live.stream import HEARTBEAT, stream


def parse(messages):
    """(id, kind) of each event in a body or an iterable of messages, heartbeats left out."""
    text = messages if isinstance(messages, str) else "".join(messages)
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            yield fields.get("id"), fields["event"]


def judge(committed, run_id):
    """What a worker writes while it judges: five events in all, with the queue's own."""
    with committed.sessions.begin() as db:
        lease = leases.claim(db, run_id, "w")
    with committed.sessions.begin() as db:
        assert leases.add_events(db, lease, [("story", {"text": "crash"})] * 2)
    with committed.sessions.begin() as db:
        report = {"verdict": "PASS", "score": 1.0, "checks": []}
        assert leases.record(db, lease, report, "h")


def test_a_finished_run_is_told_from_the_beginning(committed):
    run_id = committed.run()
    judge(committed, run_id)
    body = committed.browser.get(f"/runs/{run_id}/events").text
    kinds = ["state", "state", "story", "story", "state"]
    assert list(parse(body)) == [(str(n), kind) for n, kind in enumerate(kinds, 1)] + [
        (None, "end")
    ]


@pytest.mark.parametrize("how", ["header", "query"])
def test_a_browser_goes_on_where_it_was(committed, how):
    run_id = committed.run()
    judge(committed, run_id)
    path = f"/runs/{run_id}/events"
    if how == "header":
        answer = committed.browser.get(path, headers={"Last-Event-ID": "3"})
    else:
        answer = committed.browser.get(f"{path}?after=3")
    assert list(parse(answer.text)) == [("4", "story"), ("5", "state"), (None, "end")]


def test_after_the_end_there_is_nothing_to_come_back_for(committed):
    run_id = committed.run()
    judge(committed, run_id)
    answer = committed.browser.get(f"/runs/{run_id}/events", headers={"Last-Event-ID": "5"})
    assert answer.status_code == 204


@pytest.mark.parametrize("nonsense", ["x", "-1", "1.5", "²", ""])
def test_a_nonsense_position_is_the_beginning(committed, nonsense):
    run_id = committed.run()
    judge(committed, run_id)
    headers = {"Last-Event-ID": nonsense}
    answer = committed.browser.get(f"/runs/{run_id}/events", headers=headers)
    assert next(parse(answer.text)) == ("1", "state")


def test_news_wake_the_stream(committed):
    """The stream waits for NOTIFY here, not for its heartbeat."""
    run_id = committed.run()
    hub = committed.app.extensions["hub"]
    seen = []
    with hub.subscribe(run_id) as woken:
        messages = stream(hub, committed.sessions, run_id, 0, woken)
        seen += list(parse([next(messages), next(messages)]))  # queued, and the place
        assert seen == [("1", "state"), (None, "state")]
        judge(committed, run_id)
        seen += list(parse(messages))
    assert seen[2:] == [
        ("2", "state"), ("3", "story"), ("4", "story"), ("5", "state"), (None, "end"),
    ]  # fmt: skip


def test_a_lost_connection_costs_no_event(committed):
    run_id = committed.run()
    hub = committed.app.extensions["hub"]
    with hub.subscribe(run_id) as woken:
        messages = stream(hub, committed.sessions, run_id, 1, woken)
        next(messages)
        with psycopg.connect(committed.database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        judge(committed, run_id)
        assert [kind for _, kind in parse(messages)][-1] == "end"


def test_closing_the_hub_ends_quiet_streams(committed):
    run_id = committed.run()
    hub = committed.app.extensions["hub"]
    with hub.subscribe(run_id) as woken:
        messages = stream(hub, committed.sessions, run_id, 1, woken)
        next(messages)
        threading.Timer(0.05, hub.close).start()
        assert set(messages) <= {HEARTBEAT}


def test_a_run_is_not_watched_without_end(committed, monkeypatch):
    monkeypatch.setattr(hub_module, "STREAMS_PER_RUN", 2)
    hub = Hub(committed.database)
    two = (hub.subscribe("run"), hub.subscribe("run"), hub.subscribe("other"))
    with two[0], two[1], two[2], pytest.raises(TooManyStreams), hub.subscribe("run"):
        pass
    with hub.subscribe("run"):
        pass
    hub.close()


def test_too_many_windows_get_an_answer(committed, monkeypatch):
    monkeypatch.setattr(hub_module, "STREAMS_PER_RUN", 0)
    answer = committed.browser.get(f"/runs/{committed.run()}/events")
    assert (answer.status_code, answer.json["error"]) == (429, "too-many-streams")
