"""`instore transform TRANSFORM SRC DST`: every object of a folder or bucket through a transform, into another.

The command plays the target's part: it starts workers, the same servers a storage cluster would talk to, and sends
them objects over the same wire. It never imports the user's code.
"""

import io
import sys
from collections import Counter
from collections.abc import Callable, Coroutine

import click
import uvloop
from rich.filesize import decimal

from instore.cli.completion import PLACE
from instore.cli.grouped import GroupedCommand, group
from instore.cli.stopping import until_signal
from instore.errors import ConfigurationError, NothingSelectedError, RemoteStoreError
from instore.offline.cloud_store import CloudOptions
from instore.offline.engine import in_batches
from instore.offline.interfaces import Item, ItemState
from instore.offline.job import TransformJob
from instore.offline.names import FORMATS as NAME_FORMATS
from instore.offline.report import FORMATS as REPORT_FORMATS
from instore.offline.run import check_selection
from instore.offline.settings import LOG_LEVELS, JobSettings
from instore.offline.watching import run_and_watch
from instore.protocol.environment import FAIL
from instore.runtime.load import load_class
from instore.runtime.worker import create
from instore.server.app import ETLApplication
from instore.system import exit_codes
from instore.system.limits import raise_file_limit
from instore.system.logs import LogOptions, log_to_stderr
from instore.system.memory import keep_freed_memory
from instore.system.printable import printable
from instore.webserver.base_etl_server import application_of

_chosen = group("Which objects")
_made = group("What is made of them")
_run_as = group("How")
_instead = group("Instead")
_said = group("What is said")


@click.command("transform", cls=GroupedCommand)
@click.argument("transform", type=PLACE)
@click.argument("places", metavar="SRC... DST", nargs=-1, required=True, type=PLACE)
@_chosen("--prefix", default="", metavar="P", help="Only those whose names start with P.")
@_chosen("--include", multiple=True, metavar="GLOB", help="Only those that match, as in '*.jpg', 'train/**'.")
@_chosen("--exclude", multiple=True, metavar="GLOB", help="None of those that match.")
@_chosen("--files-from", default="", metavar="FILE", help="Those named in FILE, or by a --template 'x-{00..99}'.")
@_chosen("-0", "names_format", flag_value="nul", default="", hidden=True)
@_chosen("--files-from-format", "names_format", type=click.Choice(NAME_FORMATS), hidden=True)
@_chosen("--template", default="", metavar="T", hidden=True)
@_chosen("--name", "stdin_name", default="", hidden=True)
@_chosen("--retry-failed", default="", metavar="REPORT", help="Only those that have failed by a report.")
@_chosen("--part", default="", metavar="I/N", help="Part I, from 0, of N that together do the job.")
@_made("--args", "etl_args", default="", metavar="TEXT", help="The transform's etl_args.")
@_made("--ext", "extensions", multiple=True, metavar="OLD:NEW", help="Results' extension; may be repeated.")
@_made("--prepend", default="", metavar="P", help="What goes before each result's name.")
@_made("--overwrite", is_flag=True, help="Make again what is there already.")
@_made("--update", is_flag=True, help="Make again what is there and outdated.")
@_made("--preserve", is_flag=True, help="Keep files' times and permissions.")
@_made("--no-clobber", is_flag=True, help="Replace nothing, in a cloud, whoever has put it.")
@_made("--keep-metadata", is_flag=True, hidden=True)
@_run_as("--endpoint", default="", metavar="URL", help="Of a store that speaks a cloud's protocol.")
@_run_as("--anonymous", is_flag=True, help="Read a public SRC without credentials.")
@_made("--members", default="", metavar="GLOB", help="Members of shards; --members-on-error drop or keep.")
@_made("--members-on-error", default=FAIL, hidden=True)
@_run_as("--workers", type=click.IntRange(min=1), metavar="N", help="Processes, one a CPU; --on ray: elsewhere.")
@_run_as("--devices", default="", metavar="LIST|auto", help="One accelerator a worker; --workers-per-device 2.")
@_run_as("--workers-per-device", default=1, type=click.IntRange(min=1), hidden=True)
@_run_as("--on", default="", metavar="ray[://ADDRESS]", hidden=True)
@_run_as("--cpus", default=1.0, type=click.FloatRange(min=0), hidden=True)
@_run_as("--gpus", default=0.0, type=click.FloatRange(min=0), hidden=True)
@_run_as("--shared-folders", is_flag=True, hidden=True)
@_run_as("--timeout", default="", metavar="TIME", help="An object that takes longer fails: 90s, 5m.")
@_run_as("--retries", default=0, type=click.IntRange(min=0), metavar="N", help="Try N times more what has failed.")
@_run_as("--continue-on-error", is_flag=True, help="Go on when an object fails.")
@_run_as("--max-failures", default="", metavar="N|P%", help="Go on until more than N, or P percent, fail.")
@_run_as("--watch", is_flag=True, help="Do it again whenever SRC changes, with --update.")
@_instead("--dry-run", is_flag=True, help="List what would be done.")
@_instead("--check", is_flag=True, help="Transform all, write nothing; needs no DST.")
@_instead("--debug", is_flag=True, help="In this process, one by one, for breakpoint().")
@_said("--report", metavar="FILE", help="What became of each; FILE.jsonl: as it comes.")
@_said("--report-format", type=click.Choice(REPORT_FORMATS), hidden=True)
@_said("--metrics", default="", metavar="FILE", hidden=True)
@_said("--log-file", default="", metavar="FILE", help="Append all that is said, and each failure.")
@_said("-v", "--verbose", is_flag=True, help="Where in your code failures come from.")
@_said(
    "--log-level",
    default="warning",
    type=click.Choice(LOG_LEVELS),
    metavar="LEVEL",
    help="Show what your code logs from debug, info or warning.",
)
def transform(
    transform: str,
    places: tuple[str, ...],
    part: str,
    etl_args: str,
    workers: int | None,
    devices: str,
    workers_per_device: int,
    on: str,
    cpus: float,
    gpus: float,
    shared_folders: bool,
    prefix: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    files_from: str,
    template: str,
    stdin_name: str,
    names_format: str | None,
    extensions: tuple[str, ...],
    prepend: str,
    continue_on_error: bool,
    max_failures: str,
    timeout: str,
    retries: int,
    watch: bool,
    dry_run: bool,
    check: bool,
    debug: bool,
    overwrite: bool,
    update: bool,
    preserve: bool,
    endpoint: str,
    anonymous: bool,
    no_clobber: bool,
    keep_metadata: bool,
    members: str,
    members_on_error: str,
    report: str | None,
    report_format: str | None,
    retry_failed: str,
    log_file: str,
    metrics: str,
    verbose: bool,
    log_level: str,
) -> None:
    """Put every object of SRC through TRANSFORM, file.py[:Class] or module:Class, and the results under DST, whole or
    not at all. The same again does what is left. SRC, DST: folders, s3://BUCKET, gs://, az://, ais://; SRC: https://.

    \b
    Example:    instore transform thumbs.py photos small --ext png:jpg
    Exit codes: 0 all done; 1 an object failed; 2 it can't run; 130, 143 ended.
    """
    raise_file_limit()
    if len(places) == 1 and not check:
        raise click.UsageError("Missing argument 'DST'; only --check needs none.")
    settings = JobSettings(
        transform=transform,
        sources=places if len(places) == 1 else places[:-1],
        destination=places[-1] if len(places) > 1 else None,
        part=part,
        etl_args=etl_args,
        workers=workers or 0,
        devices=devices,
        workers_per_device=workers_per_device,
        on=on,
        cpus=cpus,
        gpus=gpus,
        shared_folders=shared_folders,
        prefix=prefix,
        include=include,
        exclude=exclude,
        files_from=files_from,
        template=template,
        stdin_name=stdin_name,
        names_format=names_format or "",
        extensions=extensions,
        prepend=prepend,
        overwrite=overwrite,
        update=update,
        preserve=preserve,
        members=members,
        members_on_error=members_on_error,
        continue_on_error=continue_on_error,
        max_failures=max_failures,
        timeout=timeout,
        retries=retries,
        checks=check,
        report=report or "",
        report_format=report_format or "",
        retry_failed=retry_failed,
        metrics=metrics,
        log_file=log_file,
        verbose=verbose,
        log_level=log_level,
        clouds=CloudOptions(endpoint, anonymous, no_clobber, keep_metadata),
    )
    try:
        for option, file in (("--report", report), ("--metrics", metrics)):
            if dry_run and file:
                raise ConfigurationError(f"--dry-run does nothing that a {option} could tell of; leave one of them out")
        _check_modes(dry_run, check, debug, watch, timeout)
        if on and (debug or watch):
            raise ConfigurationError(
                f"--on runs workers elsewhere; leave it out, or {'--debug' if debug else '--watch'}"
            )
        work: Coroutine[None, None, int]
        if watch:
            work = run_and_watch(settings, lambda text: click.echo(text, err=True))
        elif dry_run:
            work = _list(TransformJob(settings))
        else:
            work = _run(TransformJob(settings), _application(transform, log_level) if debug else None)
        keep_freed_memory()
        code = uvloop.run(until_signal(work))
    except (OSError, RemoteStoreError, NothingSelectedError) as error:  # a disk, a bucket, or what is selected in it
        click.echo(f"instore: {printable(str(error))}", err=True)
        code = exit_codes.FAILED
    sys.exit(code)


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


def _check_modes(dry_run: bool, check: bool, debug: bool, watch: bool, timeout: str) -> None:
    if watch and (dry_run or check or debug):
        raise ConfigurationError("--watch makes results; leave it out, or --dry-run, --check and --debug")
    if dry_run and (check or debug):
        raise ConfigurationError("--dry-run transforms nothing; leave it out, or --check and --debug")
    if debug and timeout:
        raise ConfigurationError("--debug gives a debugger all the time it takes; leave --timeout out")


def _application(transform: str, log_level: str) -> Callable[[], ETLApplication]:
    """Makes what transforms in this process."""

    def make() -> ETLApplication:
        log_to_stderr(LogOptions(log_level))
        return application_of(create(load_class(transform)))

    return make
