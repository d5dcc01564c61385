"""Blocking calls in threads, for coroutines that may be cancelled, once or more often.

Whoever is cancelled waits until the thread is done: nothing is half known, and nobody closes a file under a thread that
writes to it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

Result = TypeVar("Result")


async def in_thread(
    pool: Executor,
    function: Callable[..., Result],
    *arguments: Any,
    on_cancel: Callable[[], object] = lambda: None,
    always: bool = False,
) -> Result:
    """Run `function` in a thread of `pool`."""
    submitted = pool.submit(function, *arguments)

    def cancel() -> None:
        if not always:
            submitted.cancel()  # which does nothing once it has begun
        on_cancel()

    return await to_its_end(asyncio.wrap_future(submitted), cancel)


async def to_its_end(work: "asyncio.Future[Result]", on_cancel: Callable[[], object] = lambda: None) -> Result:
    """Wait for `work` to its end, however often the caller is cancelled meanwhile; then the caller is cancelled."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if not work.done():
            on_cancel()
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # given up with what it was for, so nobody hears of it
        raise
