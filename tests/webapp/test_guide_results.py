"""The result page, its files, and two sets of answers side by side."""

import csv
import html
import io
import json
import re
import zipfile

import pytest

from decision_guide import Answers, GuideError, documents, encode, evaluate, parse_answers
from webapp.guide import brought, decision_models
from webapp.guide.results import charts, downloads, words

MODEL = decision_models.base()
SHOP = {
    "title": "Order flow of a wéb shop",
    "answers": {
        "consumers": 4,
        "replay": "months",
        "answer_needed": "some-requests",
        "teams": "two-or-three-teams",
        "history": "audit-log",
        "throughput": 80,
        "erasure": "not sure",
        "payload": {"does_not_apply": "out-of-scope", "note": "references only"},
        "delivery": {"value": "guaranteed", "note": "<b>agreed</b>", "assumed": True},
    },
}
ORDER = [
    *("knockouts", "decisions", "why", "flips", "ask", "comparison", "claims", "risks"),
    *("figures", "sources", "your-answers", "files"),
]


@pytest.fixture(scope="module")
def result():
    return evaluate(MODEL, parse_answers(MODEL, SHOP))


def page_of(client, document) -> str:
    answer = client.post("/guide/result", data={"answers": json.dumps(document)})
    assert answer.status_code == 200
    return answer.text


def test_the_page_says_everything_in_its_order(client, result):
    page = html.unescape(page_of(client, SHOP))
    assert result.composite.sentence in page
    places = [
        page.index(f'<section class="stack{extra}" id="{id}"')
        for id in ORDER
        for extra in ("", " no-print")
        if f'<section class="stack{extra}" id="{id}"' in page
    ]
    assert places == sorted(places) and len(places) == len(ORDER)
    for found in result.decisions:
        assert found.state_why[1:] in page
    for knockout in result.knockouts:
        assert knockout.title in page
    for dimension in result.comparison:
        assert dimension.title in page
    for risk in result.risks:
        assert risk.text in page


@pytest.mark.parametrize("answers", [{}, SHOP["answers"], {"operations": "nobody"}])
def test_every_chart_stands_beside_its_numbers(client, answers):
    """A picture is hidden from screen readers; the row it stands in holds its numbers."""
    page = page_of(client, {"answers": answers})
    rows = re.findall(r"<tr.*?</tr>", page, re.S)
    drawn = [row for row in rows if '<svg class="bar"' in row]
    assert len(drawn) > 30
    assert all(re.search(r'class="number"[^>]*>\W?\d', row) for row in drawn)
    assert page.count('<svg class="bar"') == page.count(
        'preserveAspectRatio="none" aria-hidden="true"'
    )


def test_texts_of_people_are_never_markup(client):
    page = page_of(client, SHOP)
    assert "&lt;b&gt;agreed&lt;/b&gt;" in page and "<b>agreed" not in page


def test_a_waterfall_ends_where_its_parts_lead(result):
    """The sum of the parts is the gap, to 1e-9, also for what is drawn as one bar."""
    for found in result.decisions:
        for versus in filter(None, (found.runner_up, found.simplest)):
            first, *steps, last = charts.waterfall(found, versus)
            assert sum(s.amount for s in steps) == pytest.approx(versus.gap, abs=1e-9)
            assert last.score - first.score == pytest.approx(versus.gap, abs=1e-9)
            assert last.start == pytest.approx(steps[-1].end, abs=0.001)
            assert all(a.end == b.start for a, b in zip([first, *steps], steps, strict=False))
            assert all(0 <= s.left <= s.left + s.width <= charts.WIDTH for s in steps)


def test_a_number_keeps_its_unit_and_a_reason_its_words():
    lookup = words.Words(MODEL)
    given = parse_answers(MODEL, SHOP).given
    said = {id: lookup.said(lookup.questions[id], given.get(id)) for id in lookup.questions}
    assert said["consumers"] == "4 consumers"
    assert said["payload"] == "does not apply, because it is out of scope"
    assert (said["erasure"], said["latency"]) == ("not sure", "open")
    assert said["replay"] == "up to about a year back"


def test_sources_carry_the_letters_they_are_used_with(result):
    cited = {id: letters for id, _, letters in words.cited(result)}
    assert "H" in cited["judgement"]
    assert set("".join(cited.values())) <= set("SMRHX")
    in_numbers = {
        s for d in result.decisions if d.runner_up for r in d.runner_up.reasons for s in r.source
    }
    assert in_numbers <= set(cited)


def download(client, kind, **more):
    answer = client.post(f"/guide/files/{kind}", data={"answers": json.dumps(SHOP), **more})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    return answer


def test_the_answers_file_reads_back_to_the_same_answers(client):
    answer = download(client, "answers")
    assert (
        'filename="order-flow-of-a-web-shop-ANSWERS.json"' in answer.headers["Content-Disposition"]
    )
    assert parse_answers(MODEL, answer.json) == parse_answers(MODEL, SHOP)


def test_records_name_the_people_and_every_decision(client, result):
    people = {"decision_makers": "Ada, Bob ,", "consulted": "Cleo"}
    record = download(client, "record", **people).text
    assert 'decision-makers: "Ada, Bob"' in record and 'consulted: "Cleo"' in record
    archive = zipfile.ZipFile(io.BytesIO(download(client, "records", **people).data))
    assert archive.namelist() == [
        *(f"{n:04}-{d.id}.md" for n, d in enumerate(result.decisions, start=1)),
        "ANSWERS.json",
    ]
    assert "# Transport: Kafka log" in archive.read("0003-transport.md").decode()


def test_data_files(client, result):
    assert download(client, "result").json == json.loads(json.dumps(result.to_json()))
    rows = list(csv.DictReader(io.StringIO(download(client, "table").text)))
    assert len(rows) == sum(len(d.options) for d in result.decisions)
    assert download(client, "lens").json["schemaVersion"] == "2021-11-01"


def test_there_is_no_other_kind_of_file(client):
    assert client.post("/guide/files/secrets").status_code == 404


def test_a_file_name_without_a_title():
    result = evaluate(MODEL, Answers(), draws=10)
    assert downloads.file_name(result, downloads.DOWNLOADS["table"]) == "decision-guide-scores.csv"


def opened(client, content: bytes):
    file = (io.BytesIO(content), "my answers.json")
    return client.post("/guide/open", data={"file": file, "link": ""})


def test_a_file_of_answers_opens_its_result(client, result):
    page = opened(client, json.dumps(SHOP).encode())
    assert page.status_code == 200
    assert html.escape(result.composite.sentence) in page.text


def test_a_downloaded_result_opens_as_well(client, result):
    assert opened(client, json.dumps(result.to_json()).encode()).status_code == 200


def test_a_wrong_file_gets_every_path_and_what_is_allowed(client):
    page = opened(client, b'{"answers": {"replay": "weekly", "consumer": 3}}')
    said = html.unescape(page.text)
    assert page.status_code == 400
    assert "$.answers.replay" in said and '"none", "days", "months", "forever"' in said
    assert "$.answers.consumer" in said and "Did you mean 'consumers'?" in said


@pytest.mark.parametrize(
    ("content", "words_"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b"[]", "must be an object"),
        (b'{"format": "offsetzero-guide-result/1"}', "$.answers"),
        (b" " * (documents.LARGEST + 1), "must not be larger than 1,000,000 bytes"),
    ],
)
def test_what_is_no_file_of_answers_says_why(client, content, words_):
    page = opened(client, content)
    assert (page.status_code, words_ in html.unescape(page.text)) == (400, True)


def test_a_pasted_link_opens_its_result(client, result):
    permalink = encode(MODEL, result.answers)
    link = f"http://guide.example/guide/result#{permalink}"
    page = client.post("/guide/open", data={"link": link})
    assert page.status_code == 200 and permalink in page.text
    damaged = client.post("/guide/open", data={"link": link[:-5]})
    assert (damaged.status_code, "is cut off" in damaged.text) == (400, True)


def test_nothing_chosen_is_said_so(client):
    assert "choose a file of answers" in client.post("/guide/open").text


def test_an_address_without_answers_asks_for_the_link(client):
    page = client.get("/guide/result").text
    assert "Paste the whole link here" in page and 'id="guide-model"' in page


def test_measures_sharpen_the_figures(client):
    plain, large = ({"answers": json.dumps(SHOP), "measure.message_kib": m} for m in ("", "500"))
    figures = [client.post("/guide/result", data=data).text for data in (plain, large)]
    assert figures[0] != figures[1] and "500 KiB a message" in figures[1]
    wrong = client.post("/guide/result", data=plain | {"measure.message_kib": "big"}).text
    assert 'value="big" aria-invalid="true"' in wrong and "Write a number" in wrong


def compared(client, second, **first):
    file = (io.BytesIO(json.dumps(second).encode()), "second.json")
    return client.post("/guide/compare", data={"file_after": file, "link_after": "", **first})


def test_two_sets_side_by_side(client, result):
    second = {"title": "Later", "answers": {**SHOP["answers"], "history": "reconstruct"}}
    page = " ".join(compared(client, second, answers=json.dumps(SHOP)).text.split())
    assert "Order flow of a wéb shop, and Later" in page
    assert "a record of who changed what and when is enough" in page
    assert "the state at any past moment must be rebuilt or queried" in page
    assert "CRUD with outbox or CDC → <strong>Event sourcing</strong>" in page
    assert "What the model changed" not in page


def test_equal_sets_are_said_to_be_equal(client):
    page = compared(client, SHOP, answers=json.dumps(SHOP)).text
    assert "Both lead to the same six decisions." in page and "The answers are the same." in page


def test_an_old_result_shows_what_the_model_changed(client, result):
    old = json.loads(json.dumps(result.to_json()))
    old["model"] |= {"version": "0.9.0", "hash": "0" * 16}
    old["decisions"][2]["recommended"] = "queue"
    first = (io.BytesIO(json.dumps(old).encode()), "old.json")
    page = compared(client, SHOP, file_before=first, link_before="").text
    assert "eda-fit@0.9.0" in page
    assert "Transport: Message queue → <strong>Kafka log</strong>" in " ".join(page.split())


def test_a_second_set_is_asked_for_by_a_form(client):
    page = client.post("/guide/compare", data={"answers": json.dumps(SHOP)}).text
    assert "The answers you came from." in page and 'name="file_after"' in page
    assert 'name="file_before"' in client.get("/guide/compare").text


def test_a_result_document_without_answers_is_refused():
    with pytest.raises(GuideError, match=r"\$\.answers"):
        brought.from_document(MODEL, {"format": "offsetzero-guide-result/1", "answers": 3})
