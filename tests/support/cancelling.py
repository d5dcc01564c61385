"""Coroutines that are cancelled at every one of their awaits, once, twice or three times."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

TIMES = pytest.mark.parametrize("times", [1, 2, 3])


async def cancelled_at(step: int, times: int, work: Coroutine[Any, Any, object]) -> bool:
    """Run `work`, and cancel it `times` times, from its turn number `step` of the loop on, once in each turn.

    Returns:
        Whether it was over before its first cancellation.
    """
    task = asyncio.ensure_future(work)
    for _ in range(step):
        if task.done():
            break
        await asyncio.sleep(0)
    over = task.done()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return over


async def at_every_await(times: int, make: Callable[[], Awaitable[Callable[[], Coroutine[Any, Any, object]]]]) -> int:
    """Cancel what `make` makes at its first turn of the loop, at its second, and so on until it is over by then.

    Args:
        times: how often it is cancelled.
        make: prepares one run; what it gives makes the coroutine, and whatever is asserted is asserted there or by
            `make` when it is called the next time.

    Returns:
        How many turns it took.
    """
    step = 0
    while True:
        begin = await make()
        if await cancelled_at(step, times, begin()):
            return step
        step += 1
