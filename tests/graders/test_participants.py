"""How a participant behaves, without a broker: a lab that only remembers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from graders.conditions import Condition
from graders.facts import Performed
from graders.history import Recorder
from graders.participants import DONE, Command, Participant, Script, commanded, performed
from graders.spec import OutputRecord


class QuietLab:
    """What a participant needs of a lab; answers are kept."""

    def __init__(self) -> None:
        self.history = Recorder()
        self.answers: list[tuple[str, str]] = []
        self.stories: list[str] = []
        self.promises: set[asyncio.Task[None]] = set()
        self.participants: list[Participant] = []

    async def answer(self, topic: str, id: str, key: str, value: Mapping[str, Any]) -> None:
        self.answers.append((id, value["status"]))

    def promise(self, deed) -> None:
        self.promises.add(asyncio.create_task(deed))

    async def reached(self, condition: Condition, within: float) -> bool:
        return await self.history.wait_for(condition.holds, within)

    def tell(self, text: str) -> None:
        self.stories.append(text)

    def react(self, topic: str, reaction) -> None:
        self.take = reaction


def participant(**script: Any) -> tuple[QuietLab, Participant]:
    """A payment provider whose charges of order o1 follow a script."""
    lab = QuietLab()
    provider = Participant(
        lab,  # type: ignore[arg-type]
        "payment",
        "replies",
        {"charge": lambda command: (DONE, {"amount": command.value["amount"]})},
        read=lambda record: (
            Command(record.field("id"), "o1", "charge", record.json) if record.field("id") else None
        ),
        answer=lambda command, status: {"status": status},
    )
    provider.attend("payment-commands")
    provider.scripts["o1", "charge"] = Script(**script)
    return lab, provider


def charge(id: str) -> OutputRecord:
    value = f'{{"id": "{id}", "action": "charge", "order": "o1", "amount": 5}}'.encode()
    return OutputRecord("payment-commands", 0, 0, b"o1", value, [])


async def ask(lab: QuietLab, *ids: str) -> tuple[list[str], list[str]]:
    """What was done about these commands, and what was answered."""
    for id in ids:
        await lab.take(charge(id))
    outcomes = [deed.outcome for deed in lab.history.of(Performed)]
    return outcomes, [status for _, status in lab.answers]


@pytest.mark.parametrize(
    ("script", "ids", "outcomes", "answers"),
    [
        ({}, ["a", "a"], ["done", "repeated"], ["done", "done"]),
        ({}, ["a", "b"], ["done", "done"], ["done", "done"]),
        ({"refuses": True}, ["a", "a"], ["refused", "repeated"], ["refused", "refused"]),
        (
            {"unavailable": 2},
            ["a", "a", "a"],
            ["unavailable", "unavailable", "done"],
            ["unavailable", "unavailable", "done"],
        ),
        ({"lost": 1}, ["a", "a"], ["done", "repeated"], ["done"]),
        ({"lost": 1}, ["a", "b"], ["done", "done"], ["done"]),
        ({"copies": 3}, ["a"], ["done"], ["done", "done", "done"]),
    ],
)
async def test_a_script(script, ids, outcomes, answers):
    lab, _ = participant(**script)
    assert await ask(lab, *ids) == (outcomes, answers)


async def test_what_is_done_late_is_done_once():
    moment = Condition("", lambda history: bool(lab.stories))
    lab, _ = participant(does_when=moment)
    assert await ask(lab, "a", "a") == ([], [])
    lab.tell("now")
    lab.history.touch()
    await asyncio.gather(*lab.promises)
    assert await ask(lab) == (["done"], ["done"])


async def test_a_participant_that_is_busy_with_what_it_does_late():
    moment = Condition("", lambda history: bool(lab.stories))
    lab, _ = participant(does_when=moment, busy=True)
    assert await ask(lab, "a", "a") == (["unavailable"], ["unavailable"])
    lab.tell("now")
    lab.history.touch()
    await asyncio.gather(*lab.promises)
    assert await ask(lab) == (["unavailable", "done"], ["unavailable", "done"])


async def test_an_answer_that_is_late():
    moment = Condition("", lambda history: bool(lab.stories))
    lab, _ = participant(answers_when=moment)
    assert await ask(lab, "a") == (["done"], [])
    lab.tell("now")
    lab.history.touch()
    await asyncio.gather(*lab.promises)
    assert lab.answers == [("a~1", "done")]


async def test_a_silent_service_works_on_what_waited():
    lab, provider = participant()
    provider.silence()
    assert await ask(lab, "a", "a") == ([], [])
    await provider.heal()
    assert await ask(lab) == (["done", "repeated"], ["done", "done"])


async def test_what_cannot_be_read_is_told():
    lab, _ = participant()
    await lab.take(OutputRecord("payment-commands", 1, 7, None, b"{}", []))
    assert lab.stories == ["payment cannot read payment-commands-1@7."]
    assert not lab.answers


async def test_conditions():
    lab, _ = participant()
    asked, done = commanded("o1", "charge", times=2), performed("o1", "charge")
    assert not done.holds(lab.history)
    await ask(lab, "a")
    assert done.holds(lab.history)
    fields = {"topic": "t", "partition": 0, "key": "o1", "instance": "app"}
    for offset, value in enumerate([{"action": "charge", "order": "o1"}, None, ["charge"]]):
        lab.history.append("output", offset=offset, value=value, **fields)
    assert not asked.holds(lab.history)
    lab.history.append("output", offset=3, value={"action": "charge", "order": "o1"}, **fields)
    assert asked.holds(lab.history)
