"""`instore transform TRANSFORM SRC DST`: every object of a folder or bucket through a transform, into another.

The command plays the target's part: it starts workers, the same servers a storage cluster would talk to, and sends
them objects over the same wire. It never imports the user's code.
"""

import asyncio
import contextlib
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import click
import uvloop
from rich.filesize import decimal

from instore.cli.progress import Progress
from instore.errors import ConfigurationError, JobFailedError, RemoteStoreError, WorkerError
from instore.offline.engine import in_batches
from instore.offline.interfaces import Item, ItemState, JobOptions
from instore.offline.plan import Plan, is_in_source, make_plan
from instore.offline.report import Report
from instore.offline.run import run, worker_command
from instore.system import exit_codes
from instore.system.limits import raise_file_limit
from instore.system.printable import printable

if TYPE_CHECKING:
    from instore.offline.metrics_file import MetricsFile

_COMPLETE = "complete"
_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@click.command("transform")
@click.argument("transform")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--args", "etl_args", default="", metavar="TEXT", help="Arguments of the transform, its etl_args.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the number of CPUs]")
@click.option("--prefix", default="", metavar="P", help="Only objects whose name starts with P.")
@click.option("--ext", "extensions", multiple=True, metavar="OLD:NEW", help="Results' extension; may be repeated.")
@click.option("--prepend", default="", metavar="P", help="What goes before each result's name.")
@click.option("--continue-on-error", is_flag=True, help="Go on when an object fails.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("--overwrite", is_flag=True, help="Do again what is already there.")
@click.option("--report", metavar="FILE", help="Write a line of JSON for each object to FILE.")
@click.option("--metrics", metavar="FILE", help="Write how it ended to FILE, for Prometheus.")
@click.option("-v", "--verbose", is_flag=True, help="Show where in your code each failure comes from.")
@click.option(
    "--log-level",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning"]),
    help="Least level of what your code logs that is shown; what it prints always is.",
)
def transform(
    transform: str,
    source: str,
    destination: str,
    etl_args: str,
    workers: int | None,
    prefix: str,
    extensions: tuple[str, ...],
    prepend: str,
    continue_on_error: bool,
    dry_run: bool,
    overwrite: bool,
    report: str | None,
    metrics: str | None,
    verbose: bool,
    log_level: str,
) -> None:
    """Put every file under the folder SRC through TRANSFORM, and the results under DST with the same names.

    TRANSFORM is file.py, file.py:Class or package.module:Class. Results appear whole or not at all; the same command
    again does what is left.

    SRC, DST or both may be ais://BUCKET[/PREFIX], in the store at AIS_ENDPOINT, with AIS_AUTHN_TOKEN if it demands
    one; that needs pip install 'instore[ais]'. SRC's PREFIX selects objects, before what --prefix says, and stays in
    their names; DST's goes before the results' names, before what --prepend says. A missing DST is made.

    \b
    Exit codes: 0 all done; 1 an object failed; 2 the command can't run;
    130 interrupted; 143 terminated.
    """
    raise_file_limit()
    try:
        plan = make_plan(source, destination, prefix, extensions, prepend, overwrite)
        if dry_run:
            for option, file in (("--report", report), ("--metrics", metrics)):
                if file is not None:
                    raise ConfigurationError(
                        f"--dry-run does nothing that a {option} could tell of; leave one of them out"
                    )
            work = _list(plan)
        else:
            for option, file in (("--report", report), ("--metrics", metrics)):
                if file is not None and is_in_source(plan, file):
                    raise ConfigurationError(
                        f"{option} {printable(file)} lies inside SRC, where it would become an object"
                    )
            options = JobOptions(workers or os.cpu_count() or 1, etl_args, continue_on_error)
            progress = Progress(None if report is None else Report(report), verbose)
            ending = None if metrics is None else _metrics_file(metrics, source, destination)
            work = _run(worker_command(transform, log_level), plan, options, progress, ending)
        code = uvloop.run(_until_signal(work))
    except (OSError, RemoteStoreError) as error:  # the disk of the results or of the report; the bucket that is listed
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


def _metrics_file(path: str, source: str, destination: str) -> "MetricsFile":
    from instore.offline.metrics_file import MetricsFile  # a tenth of a second, for whoever asks for it

    return MetricsFile(path, source, destination)


async def _until_signal(work: Coroutine[None, None, int]) -> int:
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


async def _list(plan: Plan) -> int:
    """Say what would be done, on standard output."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    counts: Counter[ItemState] = Counter()
    size = 0
    async for batch in in_batches(plan.checked_items()):
        for item in batch:
            counts[item.state] += 1
            size += item.size if item.state is ItemState.TODO else 0
            click.echo(f"{item.state.value}: {printable(_describe(item))}")
    click.echo(", ".join(f"{counts[state]} {state.value}" for state in ItemState) + f"; {decimal(size)} to read")
    return exit_codes.FAILED if counts[ItemState.FAILED] else 0


def _describe(item: Item) -> str:
    return f"{item.name}: {item.reason}" if item.reason else f"{item.name} -> {item.result}"


async def _run(
    command: Sequence[str], plan: Plan, options: JobOptions, progress: Progress, metrics: "MetricsFile | None"
) -> int:
    """Do the job and say how it ended."""
    report = progress.report
    with contextlib.ExitStack() as undo:
        undo.enter_context(progress)
        if report is not None:
            undo.callback(report.discard)  # unless it is closed by then
        complete, ended = False, "interrupted"
        try:
            complete = await run(plan, command, options, progress)
            ended = _COMPLETE if complete else "stopped at the first failure"
            if not complete:
                progress.noted(f"{ended}; with --continue-on-error the others would be done")
        except (WorkerError, RemoteStoreError, JobFailedError) as error:
            ended = str(error)
            progress.noted(f"instore: {error}; what is done is kept, and the same command goes on from here")
        except asyncio.CancelledError:
            _sum_up(report, metrics, progress, ended)
            raise
        _sum_up(report, metrics, progress, ended)
    return 0 if complete and not progress.failed else exit_codes.FAILED


def _sum_up(report: Report | None, metrics: "MetricsFile | None", progress: Progress, ended: str) -> None:
    if metrics is not None:
        metrics.write(progress.summary(), ended == _COMPLETE and not progress.failed)
    if report is not None:
        report.close({"ended": ended, **progress.summary()})
    progress.noted(progress.summary_line())
