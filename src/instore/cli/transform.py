"""`instore transform TARGET SRC DST`: every file of a folder, or object of a bucket, through a transform, into another.

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
from collections.abc import Coroutine
from dataclasses import dataclass, replace

import click
import uvloop
from rich.filesize import decimal

from instore.cli.progress import Progress
from instore.errors import ConfigurationError, RemoteStoreError, WorkerError
from instore.offline.bucket_source import BucketPlan, ResultBucket
from instore.offline.engine import AnyStored, Destination, Engine
from instore.offline.folder_destination import ResultFolder
from instore.offline.folder_source import FolderOrder, FolderPlan, Item, ItemState, in_batches, is_inside
from instore.offline.remote_bucket import is_remote
from instore.offline.report import Report
from instore.offline.workers import WorkerProcesses
from instore.protocol.environment import AIS_TARGET_URL, INSTORE_FILE_ROOTS
from instore.system import exit_codes
from instore.system.printable import printable

_NO_TARGET = "http://127.0.0.1:9/v1/etl/_object/local/none"
"""The target URL of workers that have no target: nothing is pulled, and nothing delivered, here."""

_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@dataclass(frozen=True, slots=True)
class _Command:
    """One call of the command, checked."""

    target: str
    plan: FolderPlan
    order: FolderOrder
    report: Report | None


@click.command("transform")
@click.argument("target")
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
def transform(
    target: str,
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
) -> None:
    """Put every file under the folder SRC through TARGET, and the results under DST with the same names.

    TARGET is file.py, file.py:Class or package.module:Class. Results appear whole or not at all; the same command
    again does what is left.

    SRC, DST or both may be ais://BUCKET[/PREFIX], in the store at AIS_ENDPOINT, with AIS_AUTHN_TOKEN if it demands
    one; that needs pip install 'instore[ais]'. SRC's PREFIX selects objects, before what --prefix says, and stays in
    their names; DST's goes before the results' names, before what --prepend says. A missing DST is made.

    \b
    Exit codes: 0 all done; 1 an object failed; 2 the command can't run;
    130 interrupted; 143 terminated.
    """
    try:
        kind = BucketPlan if is_remote(source) or is_remote(destination) else FolderPlan
        plan = kind.make(source, destination, prefix, extensions, prepend, overwrite)
        order = plan.order(etl_args, workers or os.cpu_count() or 1, continue_on_error)
        if dry_run:
            if report is not None:
                raise ConfigurationError("--dry-run does nothing that a --report could tell of; leave one of them out")
            code = uvloop.run(_until_signal(_list(plan)))
        else:
            command = _Command(target, plan, order, _open_report(report, plan))
            code = uvloop.run(_until_signal(_transform(command)))
    except (OSError, RemoteStoreError) as error:  # the disk of the results or of the report; the bucket that is listed
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


def _open_report(path: str | None, plan: FolderPlan) -> Report | None:
    if path is None:
        return None
    if is_inside(os.path.realpath(path), plan.source):
        raise ConfigurationError(f"--report {printable(path)} lies inside SRC, where it would become an object")
    return Report(path)


async def _until_signal(work: Coroutine[None, None, int]) -> int:
    """Run `work`; on a signal cancel it, and let it clean up.

    Returns:
        The command's exit code.
    """
    caught: list[signal.Signals] = []
    task = asyncio.ensure_future(work)

    def stop(number: signal.Signals) -> None:
        if not caught:  # the second one changes nothing: we are cleaning up
            caught.append(number)
            task.cancel()

    for number in _STOPPED:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    await asyncio.wait({task})
    if not task.cancelled():
        return task.result()
    click.echo(f"{_STOPPED[caught[0]]}; the same command goes on from here", err=True)
    return exit_codes.of_signal(caught[0])


async def _list(plan: FolderPlan) -> int:
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


async def _transform(command: _Command) -> int:
    """Do the job and tell how it ended."""
    progress = Progress(command.report)
    with contextlib.ExitStack() as undo:
        if command.report is not None:
            undo.callback(command.report.discard)  # unless it is closed by then
        try:
            complete = await _run_job(command, progress)
            ended = "complete" if complete else "stopped at the first failure"
            if not complete:
                progress.noted(f"{ended}; with --continue-on-error the others would be done")
        except (WorkerError, RemoteStoreError) as error:
            complete, ended = False, str(error)
            progress.noted(f"instore: {error}; what is done is kept, and the same command goes on from here")
        except asyncio.CancelledError:
            _sum_up(command, progress, "interrupted")
            raise
        _sum_up(command, progress, ended)
    return 0 if complete and not progress.failed else exit_codes.FAILED


def _sum_up(command: _Command, progress: Progress, ended: str) -> None:
    if command.report is not None:
        command.report.close({"ended": ended, **progress.summary()})
    progress.noted(progress.summary_line())


async def _run_job(command: _Command, progress: Progress) -> bool:
    """Everything from the lock to the last result.

    Returns:
        Whether everything was gone through.
    """
    plan = command.plan
    if isinstance(plan, BucketPlan) and plan.there is not None:
        async with ResultBucket(plan.there.bucket) as bucket:
            return await _run_into(bucket, command, progress)
    async with ResultFolder(plan.destination) as folder:
        return await _run_into(folder, command, progress)


async def _run_into(results: Destination[AnyStored], command: _Command, progress: Progress) -> bool:
    todo = await _count(command.plan)
    order = replace(command.order, workers=min(command.order.workers, todo))
    items = command.plan.items()
    if not todo:  # and so no worker: what has come since the count is the next command's
        items = (item for item in items if item.state is not ItemState.TODO)
    with progress.shown(todo):
        async with WorkerProcesses(worker_command(command.target), _worker_environment(command.plan.source)) as workers:
            return await Engine(order, items, workers, results, progress).run()


async def _count(plan: FolderPlan) -> int:
    """How many objects there are to do."""
    todo = 0
    async for batch in in_batches(plan.checked_items()):
        todo += sum(item.state is ItemState.TODO for item in batch)
    return todo


def worker_command(target: str) -> list[str]:
    """The command line of a worker, up to the path of its socket."""
    return [sys.executable, "-m", "instore", "serve", target, "--uds"]


def _worker_environment(source: str) -> dict[str, str]:
    """Ours, with leave to read the files below `source`; a bucket's objects are sent."""
    if is_remote(source):
        return {AIS_TARGET_URL: _NO_TARGET, **os.environ}
    # Colons separate the variable's entries: a folder with one in its path is reached through the nearest without.
    before, colon, _ = source.partition(":")
    return {AIS_TARGET_URL: _NO_TARGET, **os.environ, INSTORE_FILE_ROOTS: os.path.dirname(before) if colon else source}
