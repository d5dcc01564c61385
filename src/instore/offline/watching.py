"""A job that is done again whenever its source changes: `--watch`.

The whole folder is gone through each time: what has a result that is not outdated is left alone. So a change that comes
while the job runs, or half of a file that is still being written, is made good the next time.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import NoReturn, Self

from instore.errors import ConfigurationError
from instore.offline.job import TransformJob
from instore.offline.settings import JobSettings
from instore.system.printable import printable


async def run_and_watch(settings: JobSettings, said: Callable[[str], None]) -> NoReturn:
    """Do a job, and again after each change, until cancelled; a failed object doesn't end it.

    Args:
        settings: the job; what is outdated is made again.
        said: is told when a job is over and the watch goes on.

    Raises:
        ConfigurationError: what `TransformJob` raises; or SRC can't be watched.
    """
    if len(settings.sources) != 1 or not os.path.isdir(settings.sources[0]):
        raise ConfigurationError("--watch is for a folder as SRC; buckets and single files can't be watched")
    if settings.destination is None:
        raise ConfigurationError("--watch makes results, and there is no DST; name one")
    settings = replace(settings, update=True, continue_on_error=True)
    async with _Changes(settings.sources[0]) as changes:
        while True:
            changes.forget()
            await TransformJob(settings).run()
            said(f"watching {printable(settings.sources[0])}; Ctrl-C ends it")
            await changes.wait()


class _Changes:
    """Whether something in a folder has changed, from when it is entered."""

    def __init__(self, folder: str) -> None:
        try:
            from watchfiles import awatch
        except ImportError as error:
            raise ConfigurationError(f"--watch needs watchfiles ({error}); pip install 'instore[watch]'") from error
        self._batches = awatch(folder, watch_filter=None)
        self._some = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)  # the task has begun: nothing is missed from here on
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    def forget(self) -> None:
        """Forget the changes so far."""
        self._some.clear()

    async def wait(self) -> None:
        """Wait for a change, unless there is one."""
        waiting = asyncio.ensure_future(self._some.wait())
        try:
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def _watch(self) -> None:
        async for _ in self._batches:
            self._some.set()
