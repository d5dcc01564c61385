"""What a person sees of a job: a bar on a terminal, a line now and then elsewhere, a line for each failure."""

import asyncio
import time
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from instore.offline.interfaces import ItemResult, ItemState, ShardMembers
from instore.offline.log_file import LogFile
from instore.offline.report import JobReportFile
from instore.offline.tally import JobReport, Tally
from instore.system.printable import printable

_BLINK = 0.1  # seconds between two changes of the bar
_INTERVAL = 5.0  # seconds between two lines where there is no terminal
_STARTING = "starting workers"


class Progress:
    """Watches one job, and tells of it on standard error, as long as it is entered; a `JobObserver`.

    Args:
        tally: counts.
        report: is written, if there is one.
        log: is written, if there is one.
        verbose: say where in the user's code failures come from.
        quiet: say nothing but to report and log.
        paced: show how the job gets on.
    """

    def __init__(
        self,
        tally: Tally,
        report: JobReportFile | None = None,
        log: LogFile | None = None,
        verbose: bool = False,
        quiet: bool = False,
        paced: bool = True,
    ) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._paced = paced and not quiet
        self.tally = tally
        self.report = report
        self._log = log
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._bar = rich.progress.Progress(
            rich.progress.BarColumn(bar_width=10),
            rich.progress.TextColumn("{task.completed:.0f}{task.fields[of]}, {task.fields[more]}", markup=False),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
        )
        self._lines: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self._todo: int | None = None  # until it is known
        self._refreshed = 0.0

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

    def started(self) -> None:
        """Show how the job gets on from now on."""
        self._began = time.perf_counter()
        if not self._paced:
            return
        if self._console.is_terminal:
            self._task = self._bar.add_task("", total=self._todo, of=self._of(), more=_STARTING)
            self._bar.start()
            self._console.show_cursor()  # so that it is there, whatever ends us
        else:
            self._lines = asyncio.create_task(self._tell_now_and_then())

    def counted(self, todo: int) -> None:
        """Show how much there is to do, too."""
        self._todo = todo
        self._refresh()

    def settled(self, result: ItemResult) -> None:
        """Count it, report it, and say it if it is the first that failed, or was skipped, for its reason."""
        is_first = self.tally.add(result)
        is_tried = result.seconds is not None  # also if it was found there by then
        self.tally.finished += result.item.state is ItemState.TODO or is_tried
        if self.report is not None:
            self.report.add(result)
        cause = result.error or result.item.reason
        if is_first or (cause and self._log is not None):
            self._tell(f"{result.status} {result.item.name}: {cause}", shown=is_first)
            for frame in result.frames:
                self._tell(f"  at {frame}", shown=is_first and self._verbose)
        self._refresh_now_and_then()

    def made(self, shard: ShardMembers) -> None:
        """Count a shard's members; report those that failed, and say them as it says objects."""
        self.tally.members["transformed"] += shard.transformed
        self.tally.members["copied"] += shard.copied
        if shard.skipped:
            self.tally.members["skipped"] += shard.skipped
        for member, cause in shard.failed:
            name = f"{shard.shard}!{member}"
            is_first = self.tally.add_member(shard, member, cause)
            if self.report is not None:
                self.report.add_member(name, shard.outcome, cause)
            self._tell(f"{shard.outcome} {name}: {cause}", shown=is_first)

    def received(self, size: int) -> None:
        """Count bytes of results under way."""
        self.tally.received += size
        self._refresh_now_and_then()

    def printed(self, worker: int, line: str) -> None:
        """Show what a worker printed."""
        self.noted(f"worker {worker}: {line}")

    def noted(self, text: str) -> None:
        """Say something, in one line."""
        self._tell(text, shown=True)

    def ended(self, ended: str) -> JobReport:
        """Say what has not been said of single objects, and sum up."""
        for line in self.tally.lines():
            self._show(line)
        return self.tally.report(ended, time.perf_counter() - self._began)

    def _tell(self, text: str, shown: bool) -> None:
        if self._log is not None:
            self._log.write(text)
        if shown:
            self._show(text)

    def _show(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(printable(text)), soft_wrap=True)

    def _refresh_now_and_then(self) -> None:
        # As often as the eye can follow: the bar's own bookkeeping costs more than a small object's.
        now = time.perf_counter()
        if now - self._refreshed > _BLINK:
            self._refreshed = now
            self._refresh()

    def _refresh(self) -> None:
        if self._bar.tasks:
            self._bar.update(
                self._task, completed=self.tally.finished, total=self._todo, of=self._of(), more=self._more()
            )

    def _of(self) -> str:
        return "" if self._todo is None else f"/{self._todo}"

    def _more(self) -> str:
        if not self.tally.received and not self.tally.finished:
            return _STARTING
        rate = self.tally.finished / (time.perf_counter() - self._began)
        return f"{decimal(self.tally.received)} out, {rate:.0f}/s, {self.tally['failed']} failed"

    async def _tell_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            self.noted(f"{self.tally.finished}{self._of()} objects, {self._more()}")
