"""A job as its user has described it: planned, run, reported; the same for the command and the library."""

import asyncio
import contextlib
import os

from rich.filesize import decimal

from instore.errors import ConfigurationError, JobFailedError, RemoteStoreError, WorkerError
from instore.offline.interfaces import JobOptions
from instore.offline.plan import is_in_source, make_plan
from instore.offline.progress import Progress
from instore.offline.report import Report
from instore.offline.run import run, worker_command
from instore.offline.settings import FailureLimit, JobSettings, parse_duration
from instore.offline.tally import COMPLETE, JobReport, Tally
from instore.system.printable import printable

_GOES_ON = "; what is done is kept, and the same command goes on from here"


class TransformJob:
    """One job. `run` does it, once.

    Attributes:
        plan: what goes where.

    Raises:
        ConfigurationError: it can't be done as it is described.
    """

    def __init__(self, settings: JobSettings) -> None:
        self.plan = make_plan(
            settings.source,
            settings.destination,
            settings.prefix,
            settings.extensions,
            settings.prepend,
            settings.overwrite,
        )
        self._settings = settings
        if settings.report and is_in_source(self.plan, settings.report):
            raise ConfigurationError(
                f"--report {printable(settings.report)} lies inside SRC, where it would become an object"
            )
        limit = settings.max_failures
        self._failure_limit = FailureLimit.parse("--max-failures", limit) if limit else None
        self._options = JobOptions(
            settings.workers or os.cpu_count() or 1,
            settings.etl_args,
            settings.continue_on_error or self._failure_limit is not None,
            error_retries=settings.retries,
            timeout=parse_duration("--timeout", settings.timeout) if settings.timeout else None,
            replaces_hung=True,
        )

    async def run(self) -> JobReport:
        """Do it, say how it ended, and write the report.

        Raises:
            ConfigurationError: the class can't be loaded, or a place can't be read or written.
        """
        settings = self._settings
        report = Report(settings.report) if settings.report else None
        progress = Progress(Tally(settings.keeps_failures), report, settings.verbose, settings.quiet)
        command = worker_command(settings.transform, settings.log_level)
        with contextlib.ExitStack() as undo:
            undo.enter_context(progress)
            if report is not None:
                undo.callback(report.discard)  # unless it is closed by then
            try:
                complete = await run(self.plan, command, self._options, progress, self._failure_limit)
            except (WorkerError, RemoteStoreError, JobFailedError) as error:
                ended = str(error)
                progress.noted(f"instore: {ended}{_GOES_ON}")
            except asyncio.CancelledError:
                _sum_up(progress, "interrupted")
                raise
            else:
                ended = COMPLETE if complete else self._stopped()
                if not complete:
                    hint = "" if self._failure_limit else "; with --continue-on-error the others would be done"
                    progress.noted(f"{ended}{hint}")
            return _sum_up(progress, ended)

    def _stopped(self) -> str:
        """Why the job has ended early."""
        limit = self._failure_limit
        return f"stopped: more than {limit} failed" if limit else "stopped at the first failure"


def _sum_up(progress: Progress, ended: str) -> JobReport:
    """Say and report what came of it."""
    summary = progress.ended(ended)
    if progress.report is not None:
        progress.report.close(summary.summary())
    counts = ", ".join(f"{count} {status}" for status, count in progress.tally.counts().items())
    rate = summary.done / summary.seconds if summary.seconds else 0
    progress.noted(
        f"{counts}; {decimal(summary.source_bytes)} in, {decimal(summary.result_bytes)} out; "
        f"{summary.seconds:.1f} s, {rate:.0f} objects/s"
    )
    return summary
