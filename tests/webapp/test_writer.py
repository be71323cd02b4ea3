"""From events to batches."""

import asyncio

from webapp.grading.writer import CUT, MAX_OUTPUT, EventWriter


def output(text, instance="app-1", stream="stdout"):
    return {
        "type": "output",
        "scenario": "steady",
        "instance": instance,
        "stream": stream,
        "text": text,
    }


def story(text):
    return {"type": "story", "scenario": "steady", "text": text}


async def batch_of(*events):
    batches = []

    async def store(batch):
        batches.append(batch)

    writer = EventWriter(store)
    for event in events:
        writer(event)
    await writer.flush()
    await writer.flush()
    assert len(batches) <= 1
    return [(kind, payload.get("text")) for kind, payload in (batches or [[]])[0]]


async def test_lines_of_one_stream_become_one_event():
    assert await batch_of(output("a"), output("b")) == [("output", "a\nb")]


async def test_streams_stay_apart():
    events = [output("a"), output("x", "app-2"), output("e", stream="stderr"), output("b")]
    expected = [("output", "a\nb"), ("output", "x"), ("output", "e")]
    assert await batch_of(*events) == expected


async def test_the_story_keeps_its_place_in_the_output():
    events = [output("before"), story("crash"), output("after")]
    assert await batch_of(*events) == [
        ("output", "before"),
        ("story", "crash"),
        ("output", "after"),
    ]


async def test_the_report_is_not_told_before_it_is_recorded():
    assert await batch_of({"type": "report", "report": {}}) == []


async def test_endless_output_is_cut_and_the_rest_goes_on():
    events = [output("x" * (MAX_OUTPUT - 2)), output("more"), output("and more"), story("end")]
    ((_, shown), last) = await batch_of(*events)
    assert shown.endswith(f"x\n{CUT}")
    assert last == ("story", "end")


async def test_what_cannot_be_stored_is_dropped_and_the_rest_goes_on():
    stored = []

    async def store(batch):
        if not stored:
            stored.append("refused")
            raise ValueError
        stored.append(batch)

    writer = EventWriter(store)
    for text in ("bad", "good"):
        writer(story(text))
        await writer.flush()
    assert stored == ["refused", [("story", {"scenario": "steady", "text": "good"})]]


async def test_events_are_stored_by_themselves():
    stored = asyncio.Event()

    async def store(_):
        stored.set()

    writer = EventWriter(store)
    running = asyncio.create_task(writer.run())
    writer(story("hello"))
    await asyncio.wait_for(stored.wait(), 20)
    running.cancel()
