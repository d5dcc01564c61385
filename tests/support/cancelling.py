"""Coroutines that are cancelled at every one of their awaits, once, twice or three times."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

TIMES = pytest.mark.parametrize("times", [1, 2, 3])


class _Counted:
    """A coroutine whose task is cancelled once it has waited `step` times, and then again in each turn of the loop."""

    def __init__(self, work: Coroutine[Any, Any, object], step: int, times: int) -> None:
        self._work = work
        self._step = step
        self._times = times
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, object]:
        task = asyncio.current_task()
        assert task is not None
        send = self._work.send
        value: Any = None
        while True:
            try:
                waited_for = send(value)
            except StopIteration as end:
                return end.value
            if self.waits == self._step:
                asyncio.get_running_loop().call_soon(self._cancel, task, self._times)
            self.waits += 1
            try:
                send, value = self._work.send, (yield waited_for)
            except BaseException as error:  # the coroutine's to handle
                send, value = self._work.throw, error

    def _cancel(self, task: "asyncio.Task[object]", times: int) -> None:
        task.cancel()
        if times > 1:
            asyncio.get_running_loop().call_soon(self._cancel, task, times - 1)


async def cancelled_at(step: int, times: int, work: Coroutine[Any, Any, object]) -> bool:
    """Run `work`, and cancel it `times` times as it waits for the `step`-th time, counted from 0.

    Returns:
        Whether it was over before that.

    Raises:
        Whatever `work` raises, but a plain cancellation.
    """
    counted = _Counted(work, step, times)

    async def run() -> None:
        await counted

    task = asyncio.ensure_future(run())
    await asyncio.wait({task})
    try:
        task.result()
    except asyncio.CancelledError as error:
        if type(error) is not asyncio.CancelledError:
            raise
    return counted.waits <= step
