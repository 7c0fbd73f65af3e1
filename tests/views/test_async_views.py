"""AsyncViewsClient: the events that threads get, and the end of the work behind a caller who leaves."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from fake_views import Script, fake_chain

from tensorhop import AsyncViewsClient, InvalidInput, ViewResult, ViewsClient

PANORAMA = np.zeros((64, 128, 3), np.uint8)
SMALL: dict[str, Any] = {"views": 2, "size": (32, 24), "intervals": [1, 2]}


def run(program: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await program

    return asyncio.run(limited())


def test_the_events_are_those_that_threads_get() -> None:
    async def program(address: str) -> list[Any]:
        async with AsyncViewsClient(address) as client:
            return [event async for event in client.process(PANORAMA, **SMALL)]

    script = Script()
    script.pause.set()
    with fake_chain(script) as front, ViewsClient(front.address) as client:
        expected, got = list(client.process(PANORAMA, **SMALL)), run(program(front.address))
    assert Counter(map(type, got)) == Counter(map(type, expected))
    assert views(got) == views(expected)


def views(events: list[Any]) -> dict[tuple[int, int, int], bytes]:
    found = [event for event in events if isinstance(event, ViewResult)]
    return {(one.interval, one.weight_idx, one.scale): one.pixels.tobytes() for one in found}


def test_the_arguments_are_those_of_the_other_client() -> None:
    ours, theirs = (inspect.signature(one.process).parameters for one in (AsyncViewsClient, ViewsClient))
    assert ours == theirs

    async def program() -> None:
        async with AsyncViewsClient() as client:
            await anext(client.process(PANORAMA, seed=-1))

    with pytest.raises(InvalidInput, match="seed"):
        run(program())


async def collect(client: AsyncViewsClient) -> list[Any]:
    return [event async for event in client.process(PANORAMA, **SMALL)]


async def until_it_works(script: Script) -> None:
    while not script.under_way:
        await asyncio.sleep(0.01)


async def leave_by_break(client: AsyncViewsClient, script: Script) -> None:
    async for _ in client.process(PANORAMA, **SMALL):
        await until_it_works(script)
        break


async def leave_by_cancel(client: AsyncViewsClient, script: Script) -> None:
    task = asyncio.create_task(collect(client))
    await until_it_works(script)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_by_timeout(client: AsyncViewsClient, script: Script) -> None:
    task = asyncio.create_task(collect(client))
    await until_it_works(script)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.1)


LEAVES = [leave_by_break, leave_by_cancel, leave_by_timeout]


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__.removeprefix("leave_by_"))
def test_who_leaves_ends_the_work(leave: Any) -> None:
    script = Script()  # whose upscale waits

    async def program(address: str) -> None:
        async with AsyncViewsClient(address) as client:
            await leave(client, script)
            while script.under_way:  # at most for as long as `run` lets it
                await asyncio.sleep(0.01)

    with fake_chain(script) as front:
        run(program(front.address))
