import pytest

from decision_guide import GuideError, choose_only, lint, overlay, parse_answers

FACTS = {"answers": {"consumers": 4, "services": 8, "operations": "managed"}}
KNOCKOUT = {
    "id": "ACME1",
    "title": "No brokers of others",
    "when": [{"operations": ["managed"]}],
    "excludes": ["transport.pub-sub"],
    "kind": "excluded",
    "mitigation": None,
    "why": "Policy 7.",
}


def acme(**parts):
    return {
        "format": "offsetzero-guide-overlay/1",
        "name": "acme",
        "organisation": "Acme Ltd",
        "base": "eda-fit@1.0.0",
        **parts,
    }


def swing(model, decision, **points):
    criteria = model.decisions[model.decision(decision)].criteria
    return {c.id: points.get(c.id, 1) for c in criteria}


def test_own_weights_by_swing(model):
    points = swing(model, "transport", simplicity=100)
    ours = overlay(model, acme(weights={"transport": {"swing": points}}))
    assert ours.id == "eda-fit+acme"
    assert ours.hash != model.hash
    said = parse_answers(ours, FACTS)
    assert choose_only(model, said)["transport"] == "pub-sub"
    assert choose_only(ours, said)["transport"] == "db-queue"
    assert "acme" in ours.decisions[2].criteria[0].source


def test_own_weights_by_order_alone(model):
    order = [c.id for c in model.decisions[5].criteria]
    ours = overlay(model, acme(weights={"workflow": {"order": order}}))
    weights = list(ours.decisions[5].weights)
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1)


def test_own_knock_outs(model):
    ours = overlay(model, acme(knockouts=[KNOCKOUT]))
    said = parse_answers(ours, FACTS)
    assert choose_only(ours, said)["transport"] != "pub-sub"
    assert ours.knockouts[-1].source == ("acme",)
    assert lint(ours) == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (acme(base="eda-fit@9.9.9"), "$.base"),
        (acme(weights={"nothing": {"order": []}}), "$.weights.nothing"),
        (acme(weights={"workflow": {"order": ["steps"]}}), "$.weights.workflow"),
        (acme(weights={"workflow": {}}), "$.weights.workflow"),
        (acme(name="gdpr"), "$.name"),
        (
            acme(knockouts=[{**KNOCKOUT, "excludes": ["a.b"]}]),
            "$.knockouts[18].excludes[0]",
        ),
        (acme(extra=1), "$"),
    ],
)
def test_what_is_wrong_in_an_overlay_is_named(model, document, path):
    with pytest.raises(GuideError) as caught:
        overlay(model, document)
    assert path in {p.path for p in caught.value.problems}


def test_the_criterion_to_lift_first_has_100_points(model):
    points = swing(model, "workflow", steps=90)
    with pytest.raises(GuideError, match="100 points"):
        overlay(model, acme(weights={"workflow": {"swing": points}}))


def test_files_go_between_the_model_and_its_overlays(model):
    ours = overlay(model, acme(knockouts=[KNOCKOUT]))
    for written, read in ((model, ours), (ours, model)):
        document = parse_answers(written, FACTS).to_json(written)
        assert document["model"].startswith(written.id)
        assert parse_answers(read, document).given == parse_answers(written, document).given
