"""Blocking calls in threads of one's own, for coroutines that may be cancelled."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(
    pool: ThreadPoolExecutor,
    function: Callable[..., Result],
    *arguments: object,
    on_cancel: Callable[[], object] = lambda: None,
) -> Result:
    """Run `function` in a thread of `pool`.

    Who is cancelled waits until the thread is done: nothing is half known, and nobody closes a file under it. What
    still waits for a thread is never begun.

    Args:
        pool: its threads.
        function, arguments: what is called.
        hurry: called on cancellation, to make the function come to its end. Default: nothing does.
    """
    submitted = pool.submit(function, *arguments)
    work = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        submitted.cancel()  # which does nothing once it has begun
        on_cancel()
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # given up with what it was for, so nobody is told
        raise
