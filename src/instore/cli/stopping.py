"""Commands that a signal ends: what is done is kept, and the same command goes on from there."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType

import click

from instore.system import exit_codes

_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


async def until_signal(work: Coroutine[None, None, int]) -> int:
    """Run `work`. A signal cancels it, and it cleans up; a second one ends the process at once."""
    caught: list[signal.Signals] = []
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop(number: int, _frame: FrameType | None) -> None:
        caught.append(signal.Signals(number))
        _on_signals(signal.SIG_DFL)
        loop.call_soon_threadsafe(task.cancel)

    _on_signals(stop)
    await asyncio.wait({task})
    _on_signals(signal.SIG_DFL)
    if not task.cancelled():
        return task.result()
    click.echo(f"{_STOPPED[caught[0]]}; the same command goes on from here", err=True)
    return exit_codes.of_signal(caught[0])


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    # Not the loop's own handlers: they would wait for a loop that is held up by a disk or a pipe.
    for number in _STOPPED:
        signal.signal(number, handler)
