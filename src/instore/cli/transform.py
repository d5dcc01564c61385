"""`instore transform TRANSFORM SRC DST`: every object of a folder or bucket through a transform, into another.

The command plays the target's part: it starts workers, the same servers a storage cluster would talk to, and sends
them objects over the same wire. It never imports the user's code.
"""

import asyncio
import io
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from types import FrameType

import click
import uvloop
from rich.filesize import decimal

from instore.errors import ConfigurationError, NothingSelectedError, RemoteStoreError
from instore.offline.engine import in_batches
from instore.offline.interfaces import Item, ItemState
from instore.offline.job import TransformJob
from instore.offline.names import FORMATS
from instore.offline.report import FORMATS as REPORT_FORMATS
from instore.offline.run import check_selection
from instore.offline.settings import JobSettings
from instore.runtime.load import load_class
from instore.runtime.worker import create
from instore.server.app import ETLApplication
from instore.system import exit_codes
from instore.system.limits import raise_file_limit
from instore.system.logs import log_to_stderr
from instore.system.printable import printable

_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@click.command("transform")
@click.argument("transform")
@click.argument("places", metavar="SRC... DST", nargs=-1, required=True)
@click.option("--args", "etl_args", default="", metavar="TEXT", help="Arguments of the transform, its etl_args.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the number of CPUs]")
@click.option("--prefix", default="", metavar="P", help="Only objects whose name starts with P.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only objects that match: '*.jpg', 'train/**'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No objects that match.")
@click.option("--files-from", default="", metavar="FILE", help="Only the objects named in FILE; - is standard input.")
@click.option("-0", "names_format", flag_value="nul", default="", help="A NUL ends each name there.")
@click.option("--files-from-format", "names_format", type=click.Choice(FORMATS), help="What FILE has.")
@click.option("--ext", "extensions", multiple=True, metavar="OLD:NEW", help="Results' extension; may be repeated.")
@click.option("--prepend", default="", metavar="P", help="What goes before each result's name.")
@click.option("--continue-on-error", is_flag=True, help="Go on when an object fails.")
@click.option("--max-failures", default="", metavar="N|P%", help="Go on until more than N, or P%, have failed.")
@click.option("--timeout", default="", metavar="TIME", help="An object fails after TIME: 90s, 5m.")
@click.option(
    "--retries", default=0, type=click.IntRange(min=0), metavar="N", help="Try failed transforms N times more."
)
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("--check", is_flag=True, help="Transform everything, write nothing; DST may be left out.")
@click.option("--debug", is_flag=True, help="One object at a time, in this process, so that breakpoint() works.")
@click.option("--overwrite", is_flag=True, help="Do again what is already there.")
@click.option("--update", is_flag=True, help="Do again what was made by other code, arguments or contents.")
@click.option("--preserve", is_flag=True, help="Keep files' times and permissions.")
@click.option("--report", metavar="FILE", help="Write what becomes of each object; FILE.jsonl: as it comes.")
@click.option("--report-format", type=click.Choice(REPORT_FORMATS), help="In place of what FILE's name says.")
@click.option("--retry-failed", default="", metavar="REPORT", help="Only the objects that failed by a report.")
@click.option("--log-file", default="", metavar="FILE", help="Append all that is said, and each failed object.")
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
    places: tuple[str, ...],
    etl_args: str,
    workers: int | None,
    prefix: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    files_from: str,
    names_format: str | None,
    extensions: tuple[str, ...],
    prepend: str,
    continue_on_error: bool,
    max_failures: str,
    timeout: str,
    retries: int,
    dry_run: bool,
    check: bool,
    debug: bool,
    overwrite: bool,
    update: bool,
    preserve: bool,
    report: str | None,
    report_format: str | None,
    retry_failed: str,
    log_file: str,
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
    if len(places) == 1 and not check:
        raise click.UsageError("Missing argument 'DST'; only --check needs none.")
    settings = JobSettings(
        transform=transform,
        sources=places if len(places) == 1 else places[:-1],
        destination=places[-1] if len(places) > 1 else None,
        etl_args=etl_args,
        workers=workers or 0,
        prefix=prefix,
        include=include,
        exclude=exclude,
        files_from=files_from,
        names_format=names_format or "",
        extensions=extensions,
        prepend=prepend,
        overwrite=overwrite,
        update=update,
        preserve=preserve,
        continue_on_error=continue_on_error,
        max_failures=max_failures,
        timeout=timeout,
        retries=retries,
        checks=check,
        report=report or "",
        report_format=report_format or "",
        retry_failed=retry_failed,
        log_file=log_file,
        verbose=verbose,
        log_level=log_level,
    )
    try:
        if dry_run and report is not None:
            raise ConfigurationError("--dry-run does nothing that a --report could tell of; leave one of them out")
        _check_modes(dry_run, check, debug, timeout)
        job = TransformJob(settings)
        work = _list(job) if dry_run else _run(job, _application(transform, log_level) if debug else None)
        code = uvloop.run(_until_signal(work))
    except (OSError, RemoteStoreError, NothingSelectedError) as error:  # a disk, a bucket, or what is selected in it
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


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


async def _list(job: TransformJob) -> int:
    """Say what would be done, on standard output."""
    await job.load()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    counts: Counter[ItemState] = Counter()
    size = 0
    async for batch in in_batches(job.plan.checked_items()):
        for item in batch:
            counts[item.state] += 1
            size += item.size if item.state is ItemState.TODO else 0
            click.echo(f"{item.state.value}: {printable(_describe(item))}")
    check_selection(job.plan, counts)
    click.echo(", ".join(f"{counts[state]} {state.value}" for state in ItemState) + f"; {decimal(size)} to read")
    return exit_codes.FAILED if counts[ItemState.FAILED] else 0


def _describe(item: Item) -> str:
    if item.reason:
        return f"{item.name}: {item.reason}"
    return f"{item.name} -> {item.result}" + (f" (made {item.outdated})" if item.outdated else "")


async def _run(job: TransformJob, make_application: Callable[[], ETLApplication] | None) -> int:
    report = await job.run(make_application)
    return 0 if report.ok else exit_codes.FAILED


def _check_modes(dry_run: bool, check: bool, debug: bool, timeout: str) -> None:
    if dry_run and (check or debug):
        raise ConfigurationError("--dry-run transforms nothing; leave it out, or --check and --debug")
    if debug and timeout:
        raise ConfigurationError("--debug gives a debugger all the time it takes; leave --timeout out")


def _application(transform: str, log_level: str) -> Callable[[], ETLApplication]:
    """Makes what transforms in this process."""

    def make() -> ETLApplication:
        log_to_stderr(log_level)
        return create(load_class(transform)).asgi_app

    return make
