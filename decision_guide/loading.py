"""From a JSON document to a model: the schema first, then every name in it.

Whatever is wrong is reported at once, each problem with its JSON path.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from decision_guide import documents
from decision_guide.conditions import Condition
from decision_guide.errors import GuideError, Problem
from decision_guide.model import (
    Answer,
    Choice,
    CitedNumber,
    Claim,
    Compatibility,
    Criterion,
    Decision,
    Dimension,
    Knockout,
    Model,
    Monotone,
    Option,
    Question,
    Risk,
    Source,
    Target,
)

DEFAULT_MODEL = documents.PACKAGE / "models" / "eda_fit.json"


def load_model(path: Path | None = None) -> Model:
    """The model in a file, or the one that ships with the package when None.

    Raises GuideError naming every place in the file that is wrong."""
    return parse_model(documents.read(path or DEFAULT_MODEL))


def parse_model(document: Mapping[str, Any]) -> Model:
    """The model of a JSON document; raises GuideError with every problem found."""
    documents.check(document, "model")
    return _Loader(document).load()


class _Loader:
    """Resolves the names in a document that has passed the schema."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.sets = {
            name: _answers(row["answers"]) for name, row in document["answer_sets"].items()
        }
        self.question_ids = [q["id"] for q in document["questions"]]
        self.designs = {d["id"]: d["label"] for d in document["designs"]}

    def load(self) -> Model:
        doc = self.document
        self._check_unique()
        self._check_sources(doc, "$")
        self._fail_if_any()
        model = Model(
            id=doc["id"],
            version=doc["version"],
            title=doc["title"],
            hash=documents.digest(doc),
            adequate=_cited_number(doc["adequate"]),
            questions=self._each("questions", self._question),
            decisions=self._each("decisions", self._decision),
            knockouts=self._each("knockouts", self._knockout),
            compatibility=self._each("compatibility", self._compatibility),
            claims=self._each("claims", self._claim),
            comparison=self._each("comparison", self._dimension),
            risks=self._each("risks", self._risk),
            monotone=self._each("monotone", self._monotone),
            sources={name: Source(**row) for name, row in doc["sources"].items()},
            estimates=doc["estimates"],
            document=doc,
        )
        self._fail_if_any()
        return model

    def _fail_if_any(self) -> None:
        if self.problems:
            raise GuideError(self.problems)

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def _each(self, key: str, make: Any) -> tuple[Any, ...]:
        rows = self.document[key]
        return self._collect(partial(make, row, f"$.{key}[{i}]") for i, row in enumerate(rows))

    def _collect(self, makers: Iterable[Callable[[], Any]]) -> tuple[Any, ...]:
        """What the makers make; the problems of those that fail are kept for the end."""
        made = []
        for make in makers:
            try:
                made.append(make())
            except GuideError as error:
                self.problems += error.problems
        return tuple(made)

    def _check_unique(self) -> None:
        for key in ("questions", "decisions", "knockouts", "compatibility", "claims", "risks"):
            for i, id in _repeated([row["id"] for row in self.document[key]]):
                self._problem(f"$.{key}[{i}].id", f"{id!r} is used twice")

    def _check_sources(self, node: Any, path: str) -> None:
        if isinstance(node, list):
            for i, item in enumerate(node):
                self._check_sources(item, f"{path}[{i}]")
        elif isinstance(node, dict):
            for key, item in node.items():
                if key != "source":
                    self._check_sources(item, f"{path}.{key}")
                    continue
                for name in set(item) - set(self.document["sources"]):
                    self._problem(f"{path}.source", f"{name!r} is not among the sources")

    def _condition(self, rows: list[dict[str, list[str]]] | None, path: str) -> Condition | None:
        if rows is None:
            return None
        return tuple(self._alternative(row, f"{path}[{i}]") for i, row in enumerate(rows))

    def _alternative(self, row: dict[str, list[str]], path: str) -> dict[int, frozenset[int]]:
        resolved = {}
        for question, wanted in row.items():
            if question not in self.question_ids:
                self._problem(f"{path}.{question}", _unknown(question, self.question_ids))
                continue
            q = self.question_ids.index(question)
            ids = [a.id for a in self._set_of(q)]
            for answer in set(wanted) - set(ids):
                self._problem(f"{path}.{question}", _unknown(answer, ids))
            resolved[q] = frozenset(ids.index(a) for a in wanted if a in ids)
        return resolved

    def _set_of(self, question: int) -> tuple[Answer, ...]:
        return self.sets.get(self.document["questions"][question]["set"], ())

    def _question(self, row: dict[str, Any], path: str) -> Question:
        answers = self.sets.get(row["set"])
        if answers is None:
            raise GuideError.at(f"{path}.set", _unknown(row["set"], self.sets))
        ids = [a.id for a in answers]
        otherwise = row.get("otherwise")
        if otherwise is not None and otherwise not in ids:
            raise GuideError.at(f"{path}.otherwise", _unknown(otherwise, ids))
        if "unit" in row and any(a.start is None for a in answers):
            raise GuideError.at(f"{path}.unit", f"the answers of {row['set']!r} have no 'from'")
        plain = ("id", "text", "why", "find_out", "group", "priority", "quick", "changes")
        return Question(
            **{key: row[key] for key in plain},
            unit=row.get("unit"),
            answers=answers,
            visible_if=self._condition(row.get("visible_if"), f"{path}.visible_if"),
            otherwise=None if otherwise is None else ids.index(otherwise),
            formerly=tuple(row.get("formerly", ())),
        )

    def _decision(self, row: dict[str, Any], path: str) -> Decision:
        options = tuple(_option(o) for o in row["options"])
        for i, id in _repeated([o.id for o in options]):
            self._problem(f"{path}.options[{i}].id", f"{id!r} is used twice")
        for i, burden in _repeated([o.burden for o in options]):
            self._problem(f"{path}.options[{i}].burden", f"{burden} is used twice")
        criteria = self._criteria(row["criteria"], [o.id for o in options], f"{path}.criteria")
        return Decision(row["id"], row["title"], row["problem"], options, criteria)

    def _criteria(
        self, rows: list[dict[str, Any]], options: list[str], path: str
    ) -> tuple[Criterion, ...]:
        total = sum(row["weight"] for row in rows)
        return self._collect(
            partial(self._criterion, row, options, total, f"{path}[{i}]")
            for i, row in enumerate(rows)
        )

    def _criterion(
        self, row: dict[str, Any], options: list[str], total: float, path: str
    ) -> Criterion:
        question = row["question"]
        if question is not None and question not in self.question_ids:
            raise GuideError.at(f"{path}.question", _unknown(question, self.question_ids))
        q = None if question is None else self.question_ids.index(question)
        shares = (1.0,) if q is None else tuple(a.share for a in self._set_of(q))
        if sorted(row["values"]) != sorted(options):
            raise GuideError.at(f"{path}.values", f"must name exactly: {', '.join(options)}")
        for option, numbers in row["values"].items():
            if len(numbers) != len(shares):
                what = f"needs {len(shares)} numbers, one for each answer, but has {len(numbers)}"
                raise GuideError.at(f"{path}.values.{option}", what)
        return Criterion(
            id=row["id"],
            title=row["title"],
            question=q,
            weight=row["weight"] / total,
            why=row["why"],
            values=tuple(tuple(row["values"][o]) for o in options),
            shares=shares,
            **_cited(row),
        )

    def _dimension(self, row: dict[str, Any], path: str) -> Dimension:
        options = tuple(
            Option(id, label, label, row[id], burden, (), ())
            for burden, (id, label) in enumerate((("rest", "REST"), ("events", "Events")), start=1)
        )
        criteria = self._criteria(row["criteria"], ["rest", "events"], f"{path}.criteria")
        decision = Decision(row["id"], row["title"], row["title"], options, criteria)
        return Dimension(decision, row["rest"], row["events"])

    def _target(self, name: str, path: str) -> Target:
        group, _, id = name.partition(".")
        if group != "design":
            decision, option = self._choice(name, path)
            label = self.document["decisions"][decision]["options"][option]["label"]
            return Target(name, label, (decision, option))
        if id not in self.designs:
            raise GuideError.at(path, _unknown(id, self.designs))
        return Target(name, self.designs[id], None)

    def _choice(self, name: str, path: str) -> Choice:
        for d, decision in enumerate(self.document["decisions"]):
            for o, option in enumerate(decision["options"]):
                if name == f"{decision['id']}.{option['id']}":
                    return d, o
        raise GuideError.at(path, f"{name!r} is not DECISION.OPTION of this model")

    def _targets(self, names: list[str], path: str) -> tuple[Target, ...]:
        return self._collect(
            partial(self._target, name, f"{path}[{i}]") for i, name in enumerate(names)
        )

    def _knockout(self, row: dict[str, Any], path: str) -> Knockout:
        return Knockout(
            id=row["id"],
            title=row["title"],
            when=self._condition(row["when"], f"{path}.when") or (),
            targets=self._targets(row["excludes"], f"{path}.excludes"),
            kind=row["kind"],
            mitigation=row["mitigation"],
            why=row["why"],
            **_cited(row),
        )

    def _compatibility(self, row: dict[str, Any], path: str) -> Compatibility:
        given = self._choice(row["if"], f"{path}.if")
        excludes = tuple(self._choice(name, f"{path}.excludes") for name in row["excludes"])
        if any(decision <= given[0] for decision, _ in excludes):
            raise GuideError.at(f"{path}.excludes", f"must belong to decisions after {row['if']}")
        return Compatibility(
            id=row["id"], given=given, excludes=excludes, why=row["why"], **_cited(row)
        )

    def _claim(self, row: dict[str, Any], path: str) -> Claim:
        when = self._condition(row["when"], f"{path}.when") or ()
        plain = {key: row[key] for key in ("id", "text", "says", "view", "why")}
        return Claim(**plain, when=when, **_cited(row))

    def _risk(self, row: dict[str, Any], path: str) -> Risk:
        return Risk(
            id=row["id"],
            text=row["text"],
            first_step=row["first_step"],
            targets=self._targets(row["options"], f"{path}.options"),
            when=self._condition(row.get("when"), f"{path}.when"),
            **_cited(row),
        )

    def _monotone(self, row: dict[str, Any], path: str) -> Monotone:
        decision, better = self._choice(f"{row['decision']}.{row['favours']}", f"{path}.favours")
        _, worse = self._choice(f"{row['decision']}.{row['over']}", f"{path}.over")
        if row["question"] not in self.question_ids:
            raise GuideError.at(f"{path}.question", _unknown(row["question"], self.question_ids))
        return Monotone(decision, self.question_ids.index(row["question"]), better, worse)


def _answers(rows: list[dict[str, Any]]) -> tuple[Answer, ...]:
    total = sum(row["odds"] for row in rows)
    return tuple(
        Answer(
            id=row["id"],
            label=row["label"],
            start=row.get("from"),
            share=row["odds"] / total,
            formerly=tuple(row.get("formerly", ())),
        )
        for row in rows
    )


def _option(row: dict[str, Any]) -> Option:
    lists = {key: tuple(row[key]) for key in ("pitfalls", "first_steps")}
    return Option(**{**row, **lists})


def _cited(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": tuple(row["source"]), "confidence": row["confidence"]}


def _cited_number(row: Mapping[str, Any]) -> CitedNumber:
    return CitedNumber(value=row["value"], note=row.get("note", ""), **_cited(row))


def _repeated(items: list[Any]) -> list[tuple[int, Any]]:
    return [(i, item) for i, item in enumerate(items) if item in items[:i]]


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"{name!r} is unknown; known are: {', '.join(known)}"
