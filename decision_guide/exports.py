"""The result as a table, and the model's warnings as a lens for the AWS Well-Architected Tool."""

import csv as csv_format
import io
from typing import Any

from decision_guide.model import Cited, Decision, Knockout, Model, Risk
from decision_guide.result import Result

_COLUMNS = (
    "decision", "option", "label", "recommended", "state", "status", "by",
    "score", "low", "high", "first", "first_free",
)  # fmt: skip
_TITLE_LIMIT = 128
_TEXT_LIMIT = 2048


def csv(result: Result) -> str:
    """One row for each option of each decision."""
    out = io.StringIO()
    writer = csv_format.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for found in result.decisions:
        for option in found.options:
            row = {name: getattr(option, name, None) for name in _COLUMNS}
            chosen = "yes" if option.id == found.recommended else "no"
            named = {"decision": found.id, "option": option.id, "recommended": chosen}
            writer.writerow({**row, **named, "state": found.state, "by": " ".join(option.by)})
    return out.getvalue()


def well_architected_lens(model: Model) -> dict[str, Any]:
    """A custom lens (schema 2021-11-01): a pillar for each decision that has knock-outs, with a
    question for each of them, and one for the risks; every risk rule can be reached."""
    pillars = [_pillar(model, d, decision) for d, decision in enumerate(model.decisions)]
    risks = [_risk_question(model, risk) for risk in model.risks]
    pillars.append({"id": "risks", "name": "Risks", "questions": risks})
    return {
        "schemaVersion": "2021-11-01",
        "name": model.title[:_TITLE_LIMIT],
        "description": f"Knock-outs and risks of the decision guide {model.id} {model.version}.",
        "pillars": [pillar for pillar in pillars if pillar["questions"]],
    }


def _pillar(model: Model, d: int, decision: Decision) -> dict[str, Any]:
    questions = []
    for knockout in model.knockouts:
        options = [t.label for t in knockout.targets if t.choice and t.choice[0] == d]
        if options:
            questions.append(_question(model, decision, knockout, options))
    return {"id": _id(decision.id), "name": decision.title, "questions": questions}


def _question(
    model: Model, decision: Decision, knockout: Knockout, options: list[str]
) -> dict[str, Any]:
    prefix = f"{_id(decision.id)}_{knockout.id.lower()}"
    without = f"We do not use: {', '.join(options)}"
    avoid = f"Avoid {', '.join(options)} while this holds."
    chosen = [
        _choice(model, knockout, f"{prefix}_free", "This does not hold for us", avoid),
        _choice(model, knockout, f"{prefix}_avoided", without, avoid),
    ]
    free = [f"{prefix}_free", f"{prefix}_avoided"]
    rules = [{"condition": " || ".join(free), "risk": "NO_RISK"}]
    if knockout.mitigation is not None:
        id = f"{prefix}_mitigated"
        chosen.append(_choice(model, knockout, id, knockout.mitigation, knockout.mitigation))
        rules.append({"condition": id, "risk": "MEDIUM_RISK"})
    return {
        "id": prefix,
        "title": knockout.title[:_TITLE_LIMIT],
        "description": knockout.why[:_TEXT_LIMIT],
        "choices": chosen,
        "riskRules": [*rules, {"condition": "default", "risk": "HIGH_RISK"}],
    }


def _risk_question(model: Model, risk: Risk) -> dict[str, Any]:
    prefix = f"risk_{_id(risk.id)}"
    targets = ", ".join(t.label for t in risk.targets) or "Any design"
    done, free = f"{prefix}_done", f"{prefix}_free"
    return {
        "id": prefix,
        "title": risk.text[:_TITLE_LIMIT],
        "description": f"A risk of: {targets}."[:_TEXT_LIMIT],
        "choices": [
            _choice(model, risk, done, risk.first_step, risk.first_step),
            _choice(model, risk, free, "Nothing of ours can meet this", risk.first_step),
        ],
        "riskRules": [
            {"condition": f"{done} || {free}", "risk": "NO_RISK"},
            {"condition": "default", "risk": "MEDIUM_RISK"},
        ],
    }


def _choice(model: Model, cited: Cited, id: str, title: str, plan: str) -> dict[str, Any]:
    source = model.sources[cited.source[0]]
    resource = {"displayText": f"{source.title}, {source.organisation}"[:_TEXT_LIMIT]}
    return {
        "id": id,
        "title": title[:_TITLE_LIMIT],
        "helpfulResource": {**resource, **({"url": source.url} if source.url else {})},
        "improvementPlan": {"displayText": plan[:_TEXT_LIMIT]},
    }


def _id(name: str) -> str:
    return name.replace("-", "_")
