"""What is written is noted before anybody is handed it."""

import asyncio

from graders.sendings import Sendings


async def test_only_the_sendings_to_a_topic_that_are_under_way_are_waited_for() -> None:
    sendings = Sendings()
    await sendings.noted("orders")
    with sendings.under_way("orders"):
        waiting = asyncio.create_task(sendings.noted("orders"))
        await sendings.noted("replies")
        with sendings.under_way("orders"):
            assert not waiting.done()
        await asyncio.sleep(0)
        assert not waiting.done()
        later = asyncio.create_task(sendings.noted("orders"))
        await asyncio.sleep(0)
        with_later = sendings.under_way("orders")
        with_later.__enter__()
    await asyncio.wait_for(asyncio.gather(waiting, later), 5)  # the later sending is not over
    with_later.__exit__(None, None, None)


async def test_a_sending_that_fails_is_over() -> None:
    sendings = Sendings()
    try:
        with sendings.under_way("orders"):
            raise RuntimeError
    except RuntimeError:
        await asyncio.wait_for(sendings.noted("orders"), 5)
