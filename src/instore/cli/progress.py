"""What a person sees of a job: a bar on a terminal, a line now and then elsewhere, a line for each failure."""

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from instore.offline.interfaces import ItemResult, ItemState
from instore.offline.report import Report
from instore.system.printable import printable

_BLINK = 0.1  # seconds between two changes of the bar
_INTERVAL = 5.0  # seconds between two lines where there is no terminal
_STARTING = "starting workers"


class Progress:
    """Watches one job, and tells of it on standard error, as long as it is entered; a `JobObserver`."""

    def __init__(self, report: Report | None, verbose: bool = False) -> None:
        self._verbose = verbose
        self.report = report
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(bar_width=10),
            rich.progress.TextColumn("{task.completed:.0f}/{task.total:.0f}, {task.fields[more]}", markup=False),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
        )
        self._lines: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self._todo = 0
        self._refreshed = 0.0
        self._finished = 0
        self._received = 0
        self._counts: Counter[str] = Counter()
        self._bytes_in = self._bytes_out = 0

    @property
    def failed(self) -> int:
        """How many objects failed."""
        return self._counts["failed"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.cancel()
        if self._bar.tasks:
            self._refresh()
            self._bar.stop()

    def started(self, todo: int) -> None:
        """Show how the job gets on from now on."""
        self._began = time.perf_counter()
        self._todo = todo
        if self._console.is_terminal:
            self._task = self._bar.add_task("", total=todo, more=_STARTING)
            self._bar.start()
            self._console.show_cursor()  # so that it is there, whatever ends us
        else:
            self._lines = asyncio.create_task(self._tell_now_and_then())

    def settled(self, result: ItemResult) -> None:
        """Count it, report it, and say it if it failed or was skipped."""
        self._counts[result.status] += 1
        self._finished += result.item.state is ItemState.TODO
        if result.status == "done":
            self._bytes_in += result.item.size
            self._bytes_out += result.result_bytes or 0
        if self.report is not None:
            self.report.add(result)
        if result.error or result.item.reason:
            self.noted(f"{result.status} {result.item.name}: {result.error or result.item.reason}")
            for frame in result.frames if self._verbose else ():
                self.noted(f"  at {frame}")
        self._refresh_now_and_then()

    def received(self, size: int) -> None:
        """Count bytes of results under way."""
        self._received += size
        self._refresh_now_and_then()

    def printed(self, worker: int, line: str) -> None:
        """Show what a worker printed."""
        self.noted(f"worker {worker}: {line}")

    def noted(self, text: str) -> None:
        """Say something, in one line."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def summary(self) -> dict[str, float]:
        """The counts, as the report has them."""
        return {
            **{status.replace(" ", "_"): self._counts[status] for status in _STATUSES},
            "source_bytes": self._bytes_in,
            "result_bytes": self._bytes_out,
            "seconds": round(time.perf_counter() - self._began, 3),
        }

    def summary_line(self) -> str:
        """The counts, for a person."""
        seconds = time.perf_counter() - self._began
        counts = ", ".join(f"{self._counts[status]} {status}" for status in _STATUSES)
        return (
            f"{counts}; {decimal(self._bytes_in)} in, {decimal(self._bytes_out)} out; "
            f"{seconds:.1f} s, {self._counts['done'] / seconds:.0f} objects/s"
        )

    def _refresh_now_and_then(self) -> None:
        # As often as the eye can follow: the bar's own bookkeeping costs more than a small object's.
        now = time.perf_counter()
        if now - self._refreshed > _BLINK:
            self._refreshed = now
            self._refresh()

    def _refresh(self) -> None:
        if self._console.is_terminal and self._bar.tasks:
            self._bar.update(self._task, completed=self._finished, more=self._more())

    def _more(self) -> str:
        if not self._finished and not self._received:
            return _STARTING
        rate = self._finished / (time.perf_counter() - self._began)
        return f"{decimal(self._received)} out, {rate:.0f}/s, {self.failed} failed"

    async def _tell_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            self.noted(f"{self._finished}/{self._todo} objects, {self._more()}")


_STATUSES = ("done", "already there", "skipped", "failed")
