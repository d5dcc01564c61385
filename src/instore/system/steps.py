"""Coroutines that go on in the very callback that ends their wait, without a task of the event loop.

A task is made, queued, and woken through the loop's queue: for a small object that costs more than everything else that
is done for it. `Stepper` runs a coroutine at once, up to where it has to wait, and `Waiter` resumes it directly.

What is run like this must not ask for its task: `asyncio.timeout` and the like have to stand in a task of their own,
that the coroutine awaits.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Waiter(Generic[Result]):
    """A future that one coroutine awaits. One that is run by a `Stepper` goes on at once, within `set_result`."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_done",
        "_error",
        "_loop",
        "_result",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False  # how asyncio's tasks know what they may wait for
        self._loop = loop
        self._done = False
        self._cancelled = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None

    def __await__(self) -> Generator[Any, None, Result]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[no-any-return]

    def set_result(self, result: Result) -> None:
        """The wait is over."""
        self._result = result
        self._finish()

    def set_exception(self, error: BaseException) -> None:
        """The wait is over, with an error."""
        self._error = error
        self._finish()

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002  # as asyncio's tasks call it
        """End the wait with `CancelledError`; False if it is over."""
        if self._done:
            return False
        self._cancelled = True
        self._error = asyncio.CancelledError()
        self._finish()
        return True

    def done(self) -> bool:
        """Whether the wait is over."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def result(self) -> Result:
        """What was waited for. Raises the error, if it is one."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[no-any-return]

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it belongs to."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Have `callback` called: at once, but for one with a context, which asyncio's tasks give."""
        self._callback = callback
        self._context = context

    def _finish(self) -> None:
        self._done = True
        if self._callback is None:
            return
        callback, self._callback = self._callback, None
        if self._context is None:
            callback(self)
        else:  # a task can't be entered while another one runs
            self._loop.call_soon(callback, self, context=self._context)


Done = Callable[[BaseException | None], object]
"""Is told that something has ended, and the error that has ended it."""


class Steps:
    """What is done by callbacks."""

    __slots__ = ()

    def start(self, done: Done) -> None:
        """Begin it."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End it with `CancelledError`."""
        raise NotImplementedError


class Stepper(Steps):
    """Runs a coroutine, from its first step to its end."""

    __slots__ = ("_cancelling", "_coroutine", "_done", "_waiting")

    def __init__(self, coroutine: Coroutine[Any, None, None]) -> None:
        self._coroutine = coroutine
        self._waiting: Any = None
        self._cancelling = False

    def start(self, done: Done) -> None:
        self._done = done
        self.step()

    def step(self, _waited: object = None) -> None:
        """Run it until it waits, or ends."""
        self._waiting = None
        try:
            if self._cancelling:
                self._cancelling = False
                waiting = self._coroutine.throw(asyncio.CancelledError())
            else:
                waiting = self._coroutine.send(None)
        except StopIteration:
            self._done(None)
        except BaseException as error:
            self._done(error)
        else:
            if isinstance(waiting, Waiter) and not self._cancelling:
                waiting._asyncio_future_blocking = False
                waiting._callback = self.step
                self._waiting = waiting
            else:
                self._wait(waiting)

    def cancel(self) -> None:
        """Raise `CancelledError` where it waits."""
        if self._waiting is None or not self._waiting.cancel():
            self._cancelling = True

    def _wait(self, waiting: Any) -> None:
        if waiting is None:  # how `asyncio.sleep(0)` gives way
            asyncio.get_running_loop().call_soon(self.step)
            return
        waiting._asyncio_future_blocking = False  # as asyncio's tasks do
        self._waiting = waiting
        waiting.add_done_callback(self.step)
        if self._cancelling and waiting.cancel():
            self._cancelling = False


def steps_of(serving: Coroutine[Any, None, None] | Steps) -> Steps:
    """What serves something, as what can be started."""
    return serving if isinstance(serving, Steps) else Stepper(serving)


async def in_task(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run `coroutine` in a task of its own, which is cancelled with its caller."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await task
    except asyncio.CancelledError:
        task.cancel()
        raise
