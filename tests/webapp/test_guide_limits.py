"""What one address may ask for, and how large it may be; what is refused is not lost."""

import html
import io
import json
import re

import pytest

from decision_guide import evaluate, parse_answers
from webapp.guide import decision_models, limits

MODEL = decision_models.base()
ANSWERS = json.dumps({"title": "<b>Shop</b>", "answers": {"consumers": 4, "replay": "months"}})


@pytest.fixture
def hasty(client, app, monkeypatch):
    """A browser behind an address that has just used all it may for the next quarter of an hour."""
    monkeypatch.setitem(app.extensions, "guide_buckets", limits.Buckets())
    monkeypatch.setattr(limits, "BURST", 2)
    monkeypatch.setattr(limits, "PER_SECOND", 1e-3)
    assert [client.get("/guide").status_code for _ in range(3)] == [200, 200, 429]
    return client


def test_a_bucket_empties_and_fills_again():
    buckets = limits.Buckets()
    assert [buckets.wait("a", 1, now=0) for _ in range(limits.BURST)] == [0] * limits.BURST
    assert buckets.wait("a", 1, now=0) == pytest.approx(1 / limits.PER_SECOND)
    assert buckets.wait("a", 2, now=0) == pytest.approx(2 / limits.PER_SECOND)
    assert buckets.wait("b", 1, now=0) == 0
    assert buckets.wait("a", 1, now=1) == 0
    assert buckets.wait("a", limits.BURST, now=10_000) == 0


def test_old_addresses_are_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "MOST_ADDRESSES", 2)
    buckets = limits.Buckets()
    for address in ("a", "b", "c"):
        buckets.wait(address, limits.BURST, now=0)
    assert buckets.wait("a", 1, now=0) == 0
    assert buckets.wait("c", 1, now=0) > 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, ""),
        ("unix:", ""),
    ],
)
def test_a_household_is_one_address(address, network):
    assert limits.network(address) == network


def test_haste_is_told_how_long_to_wait_and_keeps_what_was_typed(hasty):
    form = {"answers": ANSWERS, "shown": ["stage"], "choice.stage": "growth", "go": "next"}
    answer = hasty.post("/guide/questions", data=form)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1
    page = html.unescape(answer.text)
    assert f'name="answers" value="{ANSWERS}"' in page
    assert 'name="choice.stage" value="growth"' in page
    assert "&lt;b&gt;Shop" in answer.text


def test_a_script_is_told_in_json(hasty):
    headers = {"Accept": "application/json"}
    answer = hasty.post("/guide/strip", data={"answers": ANSWERS}, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (429, "too-many")
    assert answer.json["retry_after"] == int(answer.headers["Retry-After"])


def test_other_addresses_and_other_pages_are_served(hasty, app):
    elsewhere = app.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.8"
    assert elsewhere.get("/guide").status_code == 200
    assert hasty.get("/challenges").status_code == 200


@pytest.mark.parametrize("path", ["/guide/strip", "/guide/result"])
def test_what_is_too_large_is_refused(client, path):
    answer = client.post(path, data={"answers": " " * 1_000_001})
    assert (answer.status_code, "must not be larger" in answer.text) == (400, True)
    assert client.post(path, data={"answers": " " * 5_000_000}).status_code == 413
    too_large = {"file": (io.BytesIO(b" " * 1_000_001), "a.json")}
    answer = client.post("/guide/open", data=too_large)
    assert (answer.status_code, "must not be larger" in answer.text) == (400, True)


def test_every_note_at_its_longest_is_not_too_large(client):
    note = {"value": "not sure", "note": "\u4e2d" * 1_000}
    document = json.dumps({"answers": {q.id: note for q in MODEL.questions}}, ensure_ascii=False)
    fields = {f"note.{q.id}": note["note"] for q in MODEL.questions}
    fields |= {f"choice.{q.id}": "not sure" for q in MODEL.questions}
    form = {"answers": document, "shown": [q.id for q in MODEL.questions], **fields}
    assert client.post("/guide/strip", data=form).status_code == 200


@pytest.mark.parametrize(
    "answers",
    [
        "{",
        "[" * 100_000,
        "1" * 5_000,
        '{"answers": {"replay": 1e999}}',
        '{"answers": {"replay": {"value": {}}}}',
        '{"answers": {"nobody": "x"}}',
        '{"answers": [1]}',
        '{"answers": {}, "measures": {"message_kib": -1}}',
        '{"answers": {}, "title": {"$ne": 1}}',
        '{"format": "offsetzero-guide-result/1", "answers": {}}',
    ],
)
@pytest.mark.parametrize("path", ["questions", "strip", "result", "compare", "files/record"])
def test_what_cannot_be_read_is_said_wherever_it_comes(client, path, answers):
    form = {"answers": answers, "link_after": ""}
    answer = client.post(f"/guide/{path}", data=form)
    assert (answer.status_code, "cannot be read" in answer.text) == (400, True)


@pytest.mark.parametrize("answers", ['{"answers": {}, "title": "\\ud800\\u0000"}'])
@pytest.mark.parametrize("path", ["questions", "strip", "result", "files/record", "files/table"])
def test_texts_that_cannot_be_printed_do_no_harm(client, path, answers):
    assert client.post(f"/guide/{path}", data={"answers": answers}).status_code == 200


def uploaded(client, **files):
    data = {f"file_{name}": (as_file(found), "a.json") for name, found in files.items()}
    return client.post("/guide/compare", data={"link_after": "", **data})


def as_file(document):
    return io.BytesIO(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"model": {"id": 1}},
        {"decisions": {"a": 1}},
        {"decisions": [{"id": []}]},
        {"decisions": [{"id": "state"}]},
        {"answers": None},
    ],
)
def test_a_result_that_was_tampered_with_is_refused(client, change):
    document = evaluate(MODEL, parse_answers(MODEL, json.loads(ANSWERS)), draws=100).to_json()
    answer = uploaded(client, before={**document, **change}, after=json.loads(ANSWERS))
    assert (answer.status_code, "cannot be read" in answer.text) == (400, True)


def test_a_result_of_a_model_with_other_options_is_compared(client):
    document = evaluate(MODEL, parse_answers(MODEL, json.loads(ANSWERS)), draws=100).to_json()
    moved = [{"id": "state", "recommended": "tapes"}, {"id": "gone", "recommended": None}]
    answer = uploaded(client, before={**document, "decisions": moved}, after=json.loads(ANSWERS))
    assert answer.status_code == 200 and "tapes" in answer.text


def test_a_form_of_an_ended_session_can_be_sent_again(client, app, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    answer = client.post("/guide/questions", data={"answers": ANSWERS, "csrf_token": "old"})
    assert answer.status_code == 400 and "This page is out of date" in answer.text
    page = html.unescape(answer.text)
    assert f'name="answers" value="{ANSWERS}"' in page
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    again = client.post("/guide/questions", data={"answers": ANSWERS, "csrf_token": token})
    assert again.status_code == 200
