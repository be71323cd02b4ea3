"""One evaluation read as a person would read it."""

import json

import pytest

from decision_guide import Answers, evaluate, parse_answers, text_report

ORDERS = {
    "consumers": 4,
    "replay": "months",
    "answer_needed": "some-requests",
    "teams": "two-or-three-teams",
    "history": "audit-log",
    "services": 8,
    "stage": "growth",
    "operations": "managed",
    "experience": "some",
    "throughput": 80,
    "delivery": "guaranteed",
    "ordering": "per-key",
    "consistency": "eventual",
    "steps": 4,
    "compensation": "undo",
    "load": "spiky",
    "latency": "seconds",
    "slow_targets": "few",
    "budget": 5000,
    "payload": 2,
    "public_clients": "none",
    "read_write": 20,
    "query_shapes": "filters",
    "read_pain": "none",
    "erasure": "none",
}


@pytest.fixture(scope="module")
def ask(model):
    def evaluated(**changes):
        answers = {**ORDERS, **changes}
        document = {"answers": {id: value for id, value in answers.items() if value is not None}}
        return evaluate(model, parse_answers(model, document))

    return evaluated


@pytest.fixture(scope="module")
def orders(ask):
    return ask()


def test_the_recommendation_is_one_sentence_with_its_state(orders):
    assert orders.composite.sentence.startswith("Leaning on ")
    assert orders.composite.sentence.count(".") == 1
    assert "a Kafka log" in orders.composite.sentence
    assert orders.composite.options["transport"] == "log"
    assert orders.composite.patterns == {
        "events": "on some paths",
        "kafka": "yes",
        "event_sourcing": "no",
        "cqrs": "no",
        "saga": "by orchestration",
    }


def test_the_gap_is_explained_exactly_against_runner_up_and_simplest(orders):
    for found in orders.decisions:
        for versus in (found.runner_up, found.simplest):
            if versus is not None:
                chosen, rival = found.option(found.recommended), found.option(versus.rival)
                assert versus.gap == pytest.approx(chosen.score - rival.score, abs=1e-12)
                assert sum(r.amount for r in versus.reasons) == pytest.approx(versus.gap, abs=1e-9)
                assert all(r.source and r.confidence for r in versus.reasons)


def test_shares_count_the_draws(orders):
    for found in orders.decisions:
        assert sum(o.first for o in found.options) == pytest.approx(1)
        assert sum(o.first_free for o in found.options) == pytest.approx(1)
        for rank in zip(*(o.ranks for o in found.options), strict=True):
            assert sum(rank) == pytest.approx(1)
        for option in found.options:
            assert (option.central is None) == (option.first_free == 0)


def test_the_weight_in_use_lies_in_the_range_that_keeps_the_winner(orders):
    for found in orders.decisions:
        for kept in found.stability:
            assert kept.low <= kept.weight <= kept.high


def test_complete_answers_leave_nothing_to_ask_and_no_interval(orders):
    assert orders.next_questions == ()
    for found in orders.decisions:
        for option in found.options:
            assert option.low == pytest.approx(option.score) == pytest.approx(option.high)


def test_a_not_sure_on_a_knock_out_of_the_leader_leaves_it_undecided(ask):
    found = ask(erasure="not sure").decision("transport")
    assert (found.recommended, found.state) == ("log", "undecided")
    assert "K3b" in found.state_why
    open_ones = {k.id: k for k in ask(erasure="not sure").knockouts if k.state == "open"}
    assert open_ones["K3b"].depends_on == ("erasure",)


def test_a_blocked_option_is_not_recommended_but_named(ask):
    found = ask(operations="nobody").decision("transport")
    assert found.recommended == "db-queue"
    assert found.option("log").status == "blocked"
    assert found.better_once_mitigated.option == "log"
    assert "managed service" in found.better_once_mitigated.mitigations[0]


def test_where_nothing_is_clear_the_best_blocked_option_comes_with_its_conditions(ask):
    result = ask(operations="nobody", throughput=50_000)
    found = result.decision("transport")
    assert found.option(found.recommended).status == "blocked"
    assert found.conditions
    assert set(found.conditions) <= set(result.composite.conditions)


def test_what_does_not_apply_drops_out_and_the_rest_keeps_its_proportions(ask):
    whole, without = (
        {r.criterion: r.weight for r in ask(**changes).decision("transport").runner_up.reasons}
        for changes in ({}, {"ordering": {"does_not_apply": "out-of-scope"}})
    )
    assert without["ordering"] == 0
    assert sum(without.values()) == pytest.approx(1)
    ratio = whole["replay"] / whole["consumers"]
    assert without["replay"] / without["consumers"] == pytest.approx(ratio)


def test_open_questions_are_ordered_by_what_they_teach(ask):
    result = ask(replay=None, ordering=None)
    assert [q.question for q in result.next_questions] == ["replay", "ordering"]
    replay, ordering = result.next_questions
    assert replay.bits > ordering.bits >= 0
    assert replay.matters


def test_rest_and_events_are_compared_for_these_answers(ask):
    dimensions = {"coupling", "failure", "scalability", "replay", "latency", "complexity"}
    many, one = (
        {d.id: d for d in ask(**changes).comparison}
        for changes in ({}, {"consumers": 1, "teams": "up-to-three-developers", "services": 1})
    )
    assert many.keys() == dimensions
    assert (many["coupling"].better, one["coupling"].better) == ("events", "rest")
    assert many["replay"].better == "events"
    for d in many.values():
        assert sum(r.amount for r in d.reasons) == pytest.approx(abs(d.rest - d.events))


def test_every_criterion_of_the_customers_is_judged(orders):
    said = [c.says for c in orders.claims]
    counts = {"use events": 6, "avoid events": 6, "use event sourcing": 3, "use CQRS": 3}
    assert {kind: said.count(kind) for kind in counts} == counts
    assert said.count("use a saga") == 1
    applies = {c.id: c.applies for c in orders.claims}
    assert applies["use-process-3"] is True
    assert applies["avoid-3-developers"] is False
    assert {c.view for c in orders.claims} == {"agrees", "partly agrees", "disagrees"}
    assert all(c.source and c.confidence for c in orders.claims)


def test_an_unknown_criterion_of_the_customers_is_neither_true_nor_false(ask):
    applies = {c.id: c.applies for c in ask(throughput=None).claims}
    assert applies["use-10000"] is None


def test_rough_figures_where_the_answers_allow_them(ask, orders):
    figures = {e.what: e for e in orders.estimates}
    assert figures["partitions of a log"].low == 1
    queue = figures["managed queue, USD a month"]
    assert queue.low == pytest.approx(101, abs=1)
    assert queue.high == pytest.approx(10 * queue.low)
    assert "2026-10" in queue.basis
    assert ask(throughput=None).estimates == ()
    unbounded = {e.what: e for e in ask(throughput="over-10000").estimates}
    assert unbounded["partitions of a log"].high is None


def test_risks_and_first_steps_belong_to_what_is_recommended(ask, orders):
    ids = {r.id for r in orders.risks}
    assert {"duplicates", "dual-write", "stuck-saga"} <= ids
    plain = ask(**{**dict.fromkeys(ORDERS), "answer_needed": "every-request", "consumers": 1})
    assert plain.composite.options["interaction"] == "sync"
    assert "duplicates" not in {r.id for r in plain.risks}
    assert plain.first_steps


def test_without_any_answer_the_plain_design_leads_and_is_not_called_robust(model):
    result = evaluate(model, Answers())
    assert result.composite.options["topology"] == "modular-monolith"
    assert result.composite.options["transport"] == "db-queue"
    assert result.composite.state != "robust"
    assert len(result.next_questions) == len(model.questions)


def test_the_document_is_json_and_names_what_repeats_it(orders, model):
    document = json.loads(json.dumps(orders.to_json()))
    assert document["model"] == {"id": model.id, "version": model.version, "hash": model.hash}
    assert document["seed"] == 7
    assert document["draws"] == 10_000
    assert document["answers"]["answers"]["throughput"] == 80
    assert document["decisions"][2]["recommended"] == "log"


def test_the_text_leads_with_the_sentence_and_shows_the_arithmetic(orders):
    text = text_report(orders)
    assert text.startswith("Leaning on")
    assert text.index("Knock-outs") < text.index("Topology: ")
    assert "against the runner-up" in text
    assert "what would change it:" in text
    assert max(map(len, text.splitlines())) < 180
