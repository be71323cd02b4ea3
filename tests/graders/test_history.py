import asyncio
import time
from pathlib import Path

import pytest

from graders import facts
from graders.facts import Effect, Fact, Sent
from graders.history import History, Recorder
from tests.graders.histories import steady


def test_a_saved_history_is_read_back_as_it_was(tmp_path: Path):
    history = steady().end()
    history.save(tmp_path / "h.jsonl")
    assert list(History.load(tmp_path / "h.jsonl")) == list(history)


def test_every_kind_of_fact_has_one_name():
    assert len(facts.NAMES) == len(facts.KINDS)
    subclasses = {cls for cls in vars(facts).values() if isinstance(cls, type) and cls is not Fact}
    assert {cls for cls in subclasses if issubclass(cls, Fact)} == set(facts.KINDS.values())


def test_facts_are_numbered_from_one_and_found_by_kind():
    history = steady().end()
    assert [fact.n for fact in history] == list(range(1, len(history) + 1))
    assert history.at(1) is history.began
    assert [e.id for e in history.of(Effect)] == [f"pay-{n}" for n in range(6)]
    assert history.last(Sent).id == "pay-5"
    assert history.last(facts.Stall) is None


@pytest.mark.parametrize(
    "line", ["", "{", '{"kind": "miracle"}', '{"kind": "story", "n": 1, "t": 0, "tune": "x"}']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str):
    path = tmp_path / "h.jsonl"
    path.write_text('{"kind": "story", "n": 1, "t": 0.0, "text": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"h\.jsonl, line 2"):
        History.load(path)


async def test_waiting_ends_with_the_fact_that_was_waited_for():
    recorder = Recorder()
    waiting = asyncio.create_task(recorder.wait_for(lambda h: len(h) == 2, within=10))
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        recorder.append("story", text="...")
    assert await waiting


async def test_waiting_in_vain_ends_too():
    recorder = Recorder()
    began = time.monotonic()
    assert not await recorder.wait_for(lambda h: False, within=0.05)
    assert time.monotonic() - began >= 0.05
