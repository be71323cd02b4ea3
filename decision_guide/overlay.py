"""A company's own weights and knock-outs, kept apart from the model they are laid over.

Weights are asked for by swing: "all criteria are at their worst; which one would you lift first?"
gets 100 points, the others are given relative to it. Who can only put them in order gets rank
order centroid weights.
"""

import copy
from collections.abc import Mapping
from typing import Any

from decision_guide import documents
from decision_guide.errors import GuideError
from decision_guide.loading import parse_model
from decision_guide.model import Model


def overlay(model: Model, document: Mapping[str, Any]) -> Model:
    """The model with the overlay applied: a model of its own, with its own id and hash.

    Raises GuideError when the overlay is for another model or names what the model lacks."""
    documents.check(document, "overlay")
    base = f"{model.id}@{model.version}"
    if document["base"] != base:
        raise GuideError.at("$.base", f"is {document['base']!r}, but the model is {base!r}")
    name = document["name"]
    combined = copy.deepcopy(dict(model.document))
    combined["id"] = f"{model.id}+{name}"
    if name in combined["sources"]:
        raise GuideError.at("$.name", f"{name!r} is already a source of the model")
    title = f"Weights and knock-outs of {document['organisation']}"
    source = {"title": title, "organisation": document["organisation"], "year": None}
    combined["sources"][name] = source
    decisions = {d["id"]: d for d in combined["decisions"]}
    for id, given in document.get("weights", {}).items():
        if id not in decisions:
            raise GuideError.at(f"$.weights.{id}", f"unknown; known: {', '.join(decisions)}")
        _reweigh(decisions[id], given, name)
    for knockout in document.get("knockouts", []):
        combined["knockouts"].append({"source": [name], "confidence": "H", **knockout})
    return parse_model(combined)


def rank_order_weights(count: int) -> list[float]:
    """Rank order centroid weights for `count` criteria, the first the heaviest; they sum to 1."""
    return [sum(1 / i for i in range(k, count + 1)) / count for k in range(1, count + 1)]


def _reweigh(decision: dict[str, Any], given: Mapping[str, Any], source: str) -> None:
    path = f"$.weights.{decision['id']}"
    weights = _weights(given)
    ids = [c["id"] for c in decision["criteria"]]
    if sorted(weights) != sorted(ids):
        raise GuideError.at(path, f"must name each criterion once: {', '.join(ids)}")
    if "swing" in given and max(weights.values()) != 100:
        raise GuideError.at(path, "the criterion you would lift first must have 100 points")
    for criterion in decision["criteria"]:
        criterion["weight"] = weights[criterion["id"]]
        criterion["source"] = [*criterion["source"], source]


def _weights(given: Mapping[str, Any]) -> dict[str, float]:
    if "swing" in given:
        return dict(given["swing"])
    order = given["order"]
    return dict(zip(order, rank_order_weights(len(order)), strict=True))
