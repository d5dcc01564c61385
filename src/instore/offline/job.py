"""A job as its user has described it: planned, run, reported; the same for the command and the library."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from instore.errors import ConfigurationError, JobFailedError, NothingSelectedError, RemoteStoreError, WorkerError
from instore.etl.devices import parse_devices
from instore.offline.chosen import MatchingObjects, NamedObjects, PartOfObjects
from instore.offline.interfaces import JobOptions, ListedSource
from instore.offline.log_file import LogFile
from instore.offline.maker import maker_of
from instore.offline.members import MemberOptions
from instore.offline.names import expanded, is_json, read_names
from instore.offline.part import JobPart
from instore.offline.patterns import matcher
from instore.offline.plan import Plan, is_in_source, make_plan, scheme_of
from instore.offline.progress import Progress
from instore.offline.report import LINES, failed_names, is_lines, open_report
from instore.offline.run import MakeWorkers, load_class, run, worker_command
from instore.offline.settings import RAY, FailureLimit, JobSettings, parse_duration
from instore.offline.several_folders import SeveralFolders
from instore.offline.standard_input import STANDARD_INPUT, StandardInput
from instore.offline.tally import COMPLETE, JobReport, Tally
from instore.offline.workers import WorkerProcesses
from instore.system.printable import printable

if TYPE_CHECKING:
    from instore.offline.job_metrics import JobMetrics
    from instore.offline.ray_workers import RayCluster
    from instore.server.app import ETLApplication

_GOES_ON = "; what is done is kept, and the same command goes on from here"


class TransformJob:
    """One job. `run` does it, once.

    Attributes:
        plan: what goes where.

    Raises:
        ConfigurationError: it can't be done as it is described.
    """

    def __init__(self, settings: JobSettings) -> None:
        _check_on(settings)
        self.plan = planned(settings)
        self._settings = settings
        self._members = MemberOptions.of(settings)
        for option, path in (
            ("--report", settings.report),
            ("--log-file", settings.log_file),
            ("--metrics", "" if "://" in settings.metrics else settings.metrics),
        ):
            if path and not _is_named(self.plan.source) and is_in_source(self.plan, path):
                raise ConfigurationError(
                    f"{option} {printable(path)} lies inside SRC, where it would become an object; put it elsewhere"
                )
        limit = settings.max_failures
        self._failure_limit = FailureLimit.parse("--max-failures", limit) if limit else None
        devices = parse_devices(settings.devices) if settings.devices else []
        self._options = JobOptions(
            settings.workers or len(devices) * settings.workers_per_device or os.cpu_count() or 1,
            settings.etl_args,
            settings.continue_on_error or self._failure_limit is not None,
            error_retries=settings.retries,
            timeout=parse_duration("--timeout", settings.timeout) if settings.timeout else None,
            replaces_hung=True,
        )
        self._make_workers: MakeWorkers[Any] = partial(
            WorkerProcesses, worker_command(settings.transform, settings.log_level), devices=devices
        )
        self._metrics = _job_metrics(settings) if settings.metrics else None
        if settings.checks:
            self._options = replace(self._options, continue_on_error=True)

    async def run(self, make_application: "Callable[[], ETLApplication] | None" = None) -> JobReport:
        """Do it, say how it ended, and write the report.

        Args:
            make_application: makes what transforms the objects in this process, one at a time, for a debugger.
                Default: the class is loaded by worker processes.

        Raises:
            ConfigurationError: the class can't be loaded, or a place can't be read or written.
        """
        settings = self._settings
        options = self._options
        make_workers = self._make_workers
        if make_application is not None:
            from instore.offline.own_process import OwnProcess  # the whole server, for a debugger

            make_workers = partial(OwnProcess, make_application)
            options = replace(options, workers=1, slots=1, timeout=None)
        with contextlib.ExitStack() as undo:
            report = log = None
            if settings.on:
                cluster = undo.enter_context(_cluster(settings))
                make_workers = self._ray_workers(cluster)
                options = replace(options, workers=settings.workers or cluster.room())
            if settings.log_file:
                log = undo.enter_context(contextlib.closing(LogFile(settings.log_file)))
            if settings.report:
                report = open_report(settings.report, settings.report_format, self._described())
                undo.callback(report.discard)  # unless it is closed by then
            tally = Tally(settings.keeps_failures, names_all=settings.checks)
            paced = make_application is None
            progress = Progress(tally, report, log, settings.verbose, settings.quiet, paced)
            undo.enter_context(progress)
            try:
                complete = await run(self.plan, make_workers, options, progress, self._failure_limit, self._members)
            except (WorkerError, RemoteStoreError, JobFailedError) as error:
                ended = str(error)
                progress.noted(f"instore: {ended}{_GOES_ON}")
            except NothingSelectedError as error:
                ended = str(error)
                progress.noted(f"instore: {ended}")
            except asyncio.CancelledError:
                _sum_up(progress, "interrupted", self._metrics)
                raise
            else:
                ended = COMPLETE if complete else self._stopped()
                if not complete:
                    hint = "" if self._failure_limit else "; with --continue-on-error the others would be done"
                    progress.noted(f"{ended}{hint}")
            return _sum_up(progress, ended, self._metrics)

    async def load(self) -> None:
        """Only see whether the class can be loaded.

        Raises:
            ConfigurationError: it can't.
        """
        progress = Progress(Tally(), verbose=self._settings.verbose)
        with contextlib.ExitStack() as undo:
            make_workers = self._make_workers
            if self._settings.on:
                make_workers = self._ray_workers(undo.enter_context(_cluster(self._settings)))
            await load_class(self.plan, make_workers, progress, self._settings.etl_args)

    def _ray_workers(self, cluster: "RayCluster") -> MakeWorkers[Any]:
        """Makes the workers of this job in a cluster."""
        from instore.offline.ray_agent import AgentTask
        from instore.offline.ray_workers import RayWorkers
        from instore.shipping.class_copy import copy_class

        settings = self._settings
        task = AgentTask(
            _plan_maker(settings)[0],
            copy_class(settings.transform),
            settings.etl_args,
            settings.log_level,
        )
        return partial(RayWorkers, cluster, task)

    def _described(self) -> dict[str, object]:
        """The job, as its report begins."""
        settings = self._settings
        return {
            "transform": settings.name or settings.transform,
            "args": settings.etl_args,
            "sources": list(settings.sources),
            "destination": settings.destination,
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _stopped(self) -> str:
        """Why the job has ended early."""
        limit = self._failure_limit
        return f"stopped: more than {limit} failed" if limit else "stopped at the first failure"


_MakePlan = Callable[[], Plan]


def _plan_maker(settings: JobSettings) -> tuple[_MakePlan, Sequence[str], JobPart | None]:
    """Makes the plan for all objects of SRC, here or on a machine that sees the same."""
    place, files = _place(settings)
    part = _part(settings)
    destination = None if settings.checks else settings.destination
    if settings.on:
        place = _absolute(place) if isinstance(place, str) else place
        destination = destination and _absolute(destination)
    plan = partial(
        make_plan,
        place,
        destination,
        settings.prefix,
        settings.extensions,
        settings.prepend,
        settings.overwrite,
        settings.clouds,
        names=files,
        is_listed=not _are_named(settings),
        maker=settings.maker or maker_of(settings.transform, MemberOptions.of(settings).said_of(settings.etl_args)),
        update=settings.update,
        preserve=settings.preserve,
        part=part,
    )
    return plan, files, part


def planned(settings: JobSettings) -> Plan:
    """What goes where."""
    maker, files, part = _plan_maker(settings)
    names, way = _names(settings)
    plan = maker()
    source: ListedSource = plan.source
    ways = list[str]()
    if files and names is not None:
        raise ConfigurationError(f"{way} names files of a folder; give that folder as SRC, and no file")
    if files or names is not None:
        source = NamedObjects(source, files or names or (), at_once=_can_wait(settings))
        ways.append("the files named" if files else way)
    if settings.include or settings.exclude:
        source = MatchingObjects(source, matcher(settings.include, settings.exclude))
        ways += [f"--include {printable(text)}" for text in settings.include]
        ways += [f"--exclude {printable(text)}" for text in settings.exclude]
    if source.prefix:
        ways.append(f"the prefix {printable(source.prefix)}")
    if settings.retry_failed and not names:  # that nothing has failed is good news
        ways = []
    selection = " with ".join(ways)
    if part is not None:
        return replace(plan, source=PartOfObjects(source, part, selection))
    return replace(plan, source=source, selection=selection)


def _is_named(source: ListedSource) -> bool:
    """Whether its objects are named one by one, so that nothing else in their folder becomes one."""
    return isinstance(source.source if isinstance(source, PartOfObjects) else source, NamedObjects)


def _part(settings: JobSettings) -> JobPart | None:
    """The part of the job, if it is one."""
    if not settings.part:
        return None
    if settings.report and not is_lines(settings.report, settings.report_format):
        raise ConfigurationError(
            f"--report {printable(settings.report)}: the parts of a job would replace each other's; name a file that "
            f"ends in {LINES}, which all of them append to"
        )
    return JobPart.parse(settings.part, os.environ)


def _are_named(settings: JobSettings) -> bool:
    return any(_ways_to_name(settings).values()) or settings.names is not None


def _ways_to_name(settings: JobSettings) -> dict[str, str]:
    """The options that name objects, and what they were given."""
    return {
        "--files-from": settings.files_from,
        "--template": settings.template,
        "--retry-failed": settings.retry_failed,
    }


def _names(settings: JobSettings) -> tuple[Iterable[str] | None, str]:
    """The names of the objects, if they are given, and how, for a person."""
    given = [f"{option} {printable(text)}" for option, text in _ways_to_name(settings).items() if text]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} both name the objects; leave one of them out")
    if settings.retry_failed:
        return failed_names(settings.retry_failed), given[0]
    if settings.files_from:
        return read_names(settings.files_from, settings.names_format), given[0]
    if settings.template:
        return expanded(settings.template), given[0]
    return settings.names, "files"


def _can_wait(settings: JobSettings) -> bool:
    """Whether names may be read when some objects are done: none of them can be malformed, or keep the job waiting."""
    is_plain = os.path.isfile(settings.files_from) and not is_json(settings.files_from, settings.names_format)
    return is_plain or bool(settings.template)


def _place(settings: JobSettings) -> tuple[str | ListedSource, list[str]]:
    """What SRC stands for, and the names of its files if it is files of one folder."""
    sources = settings.sources
    if not sources:
        raise ConfigurationError("there is no SRC; name a folder, a bucket, or files")
    if settings.stdin_name and STANDARD_INPUT not in sources:
        raise ConfigurationError(f"--name is for standard input; give {STANDARD_INPUT} as SRC")
    if len(sources) == 1 and sources[0] == STANDARD_INPUT:
        if settings.files_from == STANDARD_INPUT:
            raise ConfigurationError("SRC and --files-from are both standard input; name a file for one of them")
        return StandardInput(settings.stdin_name, settings.prefix), []
    if len(sources) == 1 and not os.path.isfile(sources[0]):
        return sources[0], []
    for source in sources:
        if not os.path.exists(source):
            raise ConfigurationError(
                f"several SRC must be folders and files, and {printable(source)} is neither; run the command for each"
            )
    folders = {os.path.dirname(source) or "." for source in sources}
    if len(folders) == 1 and all(map(os.path.isfile, sources)):
        return folders.pop(), [os.path.basename(source) for source in sources]
    return SeveralFolders(sources, settings.prefix), []


def _absolute(place: str) -> str:
    return place if scheme_of(place) else os.path.abspath(place)


def _check_on(settings: JobSettings) -> None:
    """Refuse what can't be done in a cluster, or only there.

    Raises:
        ConfigurationError: so it is.
    """
    on = printable(settings.on)
    if not settings.on:
        if (settings.cpus, settings.gpus, settings.shared_folders) != (1, 0, False):
            raise ConfigurationError("--cpus, --gpus and --shared-folders are for --on")
        return
    if settings.on != RAY and not settings.on.startswith(f"{RAY}://"):
        raise ConfigurationError(f"--on {on}: it takes ray, the cluster of this machine, or ray://HOST:10001")
    if not settings.cpus and not settings.gpus:
        raise ConfigurationError("--cpus 0: a worker takes at least a part of a CPU or of a GPU")
    if STANDARD_INPUT in settings.sources:
        raise ConfigurationError(f"--on {on}: a worker elsewhere can't read standard input; name a folder or a bucket")
    if settings.devices:
        raise ConfigurationError("--devices is for this machine, and Ray says which GPUs a worker has: use --gpus")
    places = [*settings.sources, *([settings.destination] if settings.destination and not settings.checks else [])]
    folders = [place for place in places if not scheme_of(place)]
    if folders and not settings.shared_folders:
        raise ConfigurationError(
            f"--on {on}: every node of the cluster reads or writes {printable(folders[0])} itself; if it is shared, at "
            "the same path on each of them, say so with --shared-folders, else use buckets"
        )


def _cluster(settings: JobSettings) -> contextlib.AbstractContextManager["RayCluster"]:
    from instore.offline.ray_workers import ray_cluster  # which imports Ray

    return ray_cluster(settings.on, settings.cpus, settings.gpus, is_full=not settings.workers)


def _job_metrics(settings: JobSettings) -> "JobMetrics":
    from instore.offline.job_metrics import JobMetrics  # a tenth of a second, for whoever asks for it

    return JobMetrics(settings.metrics, ", ".join(settings.sources), settings.destination or "")


def _sum_up(progress: Progress, ended: str, metrics: "JobMetrics | None") -> JobReport:
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
    members = progress.tally.members
    if members:
        progress.noted(f"members of shards: {', '.join(f'{count} {what}' for what, count in members.items())}")
    if metrics is not None:
        metrics.write(summary)
    return summary
