"""`instore.run` and `instore.arun`: what `instore transform` does, called from Python."""

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from math import inf
from typing import Any, Literal, TypedDict, Unpack

import uvloop

from instore.errors import ConfigurationError
from instore.offline.cloud_store import CloudOptions
from instore.offline.job import TransformJob
from instore.offline.maker import maker_of_class
from instore.offline.members import MemberOptions
from instore.offline.settings import LOG_LEVELS, JobSettings
from instore.offline.tally import JobReport
from instore.protocol.environment import FAIL, INSTORE_PARENT_FD
from instore.shipping.class_file import class_file

Place = str | os.PathLike[str]


class RunOptions(TypedDict, total=False):
    """The options of `run`, which documents them."""

    args: str | Mapping[str, Any]
    workers: int
    devices: str
    endpoint: str
    anonymous: bool
    no_clobber: bool
    keep_metadata: bool
    workers_per_device: int
    on: str
    cpus: float
    gpus: float
    shared_folders: bool
    prefix: str
    include: str | Sequence[str]
    exclude: str | Sequence[str]
    files: Iterable[str]
    template: str
    name: str
    ext: Mapping[str, str]
    prepend: str
    overwrite: bool
    update: bool
    preserve: bool
    continue_on_error: bool
    max_failures: int | str
    timeout: float | str
    retries: int
    check: bool
    report: Place
    part: str
    members: str
    members_on_error: str
    retry_failed: Place
    log_file: Place
    verbose: bool
    log_level: Literal["debug", "info", "warning"]
    progress: bool


def run(
    transform: type | Place,
    source: Place | Sequence[Place],
    destination: Place | None = None,
    **options: Unpack[RunOptions],
) -> JobReport:
    """Put every object of a folder or bucket through a class, and the results into another, as `instore transform`.

    Where an event loop runs already, as in a notebook, the job has a thread and a loop of its own, and this waits for
    it. An interrupt ends the workers first; what is done is kept, and the same call goes on from there.

    Args:
        transform: a subclass of `ETLServer`, or `file.py`, `file.py:Class` or `package.module:Class`. A class that is
            defined in a script that is running, or in a notebook, is sent to the workers with its code. A worker
            never runs that script: no `if __name__ == "__main__":` is needed.
        source: a folder, a bucket (`ais://`, `s3://`, `gs://`, `az://`) or a web server's folder (`https://`); or a
            file; or several folders and files (docs/jobs.md#which-objects).
        destination: a folder or bucket; it is made if it is missing.
        options: each may be left out:

            - `args` (str, or a mapping, which goes as JSON): the transform's `etl_args`. Default: empty.
            - `workers` (int): processes. Default: as many as there are CPUs.
            - `devices` (str): accelerators such as `"0,1"`, or `"auto"`; each worker sees one. Default: none.
            - `workers_per_device` (int): how many workers share one. Default 1.
            - `on` (str): where workers run: `"ray"` or `"ray://HOST:10001"` (docs/cluster.md). Default: here.
            - `cpus`, `gpus` (float): what each worker takes of the cluster. Default 1 and 0.
            - `shared_folders` (bool): a folder `source` or `destination` is the same one, at the same path, on every
              machine of the cluster. Default False: such a folder is refused there.
            - `prefix` (str): only objects whose names start with it.
            - `include`, `exclude` (str, or several): only objects whose names match one pattern of the first and none
              of the second, such as `"train/**/*.jpg"` (docs/jobs.md#which-objects).
            - `files` (texts): the names of the objects. Default: all that the source has.
            - `template` (str): their names with ranges, as in `"shard-{0000..0999}.tar"`. Default: see `files`.
            - `name` (str): what the object is called, where `source` is `"-"`, standard input.
            - `endpoint` (str), `anonymous`, `no_clobber`, `keep_metadata` (bool): of clouds' buckets
              (docs/clouds.md). Default: none.
            - `ext` (mapping): results' extensions by the objects', such as `{"png": "jpg"}`.
            - `prepend` (str): what goes before each result's name.
            - `overwrite` (bool): make results that are there again. Default False.
            - `update` (bool): make results again that another class, or a version of it before your last change, has
              made, or that were made with other arguments or of an object that has changed since. Default False.
            - `preserve` (bool): results get the time and the permissions of their objects' files. Default False.
            - `continue_on_error` (bool): go on when an object fails. Default False: the first failure ends the job.
            - `max_failures` (int, or str as in `"5%"`): go on until more have failed. Default: see `continue_on_error`.
            - `timeout` (float in seconds, or str as in `"5m"`): how long an object may take; it fails then, and the
              worker that hangs is replaced. Default: as long as it takes.
            - `retries` (int): how often an object is tried again that the transform failed on. Default 0.
            - `check` (bool): transform everything, and write nothing; `destination` may be left out. Default False.
            - `part` (str): `"0/8"`, one of eight parts that together do the job (docs/jobs.md#in-parts). Default: all.
            - `members` (str): every object is a shard (tar, gzip, zstd, zip), and each of its members that matches this
              pattern, such as `"*.jpg"`, goes through the class (docs/shards.md#transforming-members).
            - `members_on_error` (str): what becomes of a member that fails: `"fail"` (its shard fails), `"drop"` or
              `"keep"`. Default: `"fail"`.
            - `report` (path): a report of every object, in JSON; in JSON lines where its name ends in `.jsonl`
              (docs/jobs.md#the-report).
            - `retry_failed` (path): such a report; the job is about the objects that failed.
            - `log_file` (path): all that is said is appended to it, and each failed object.
            - `verbose` (bool): say where in your code failures come from. Default False.
            - `log_level` (`"debug"`, `"info"` or `"warning"`): least level of what the class logs that is shown; what
              it prints always is. Default `"warning"`.
            - `progress` (bool): tell of the job on standard error: a bar on a terminal, else a line every five
              seconds; failures, and what the class prints. Default True.

    Returns:
        What came of it; failed objects raise nothing (see `JobReport.raise_if_failed`).

    Raises:
        ConfigurationError: a `ValueError`; an argument is wrong, a place can't be used, or the class can't be loaded.
        TypeError: there is no such option.
        OSError: the disk of the results or of the report failed.
        RemoteStoreError: a bucket can't be listed.
    """
    job = arun(transform, source, destination, **options)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return uvloop.run(job)
    return _in_a_thread(job)


async def arun(
    transform: type | Place,
    source: Place | Sequence[Place],
    destination: Place | None = None,
    **options: Unpack[RunOptions],
) -> JobReport:
    """`run` on the caller's event loop. If it is cancelled, it ends its workers first; what is done is kept."""
    if INSTORE_PARENT_FD in os.environ:
        raise ConfigurationError(
            "instore.run was called by a worker, which imports the file of the call to find the class in it; call it "
            'under if __name__ == "__main__":, or give it the class itself in place of its file'
        )
    with contextlib.ExitStack() as undo:
        if isinstance(transform, type):
            place = undo.enter_context(class_file(transform))
        else:
            place = _path("transform", transform, "a class, or a text such as file.py:Class")
        settings = _settings(place, source, destination, options)
        if isinstance(transform, type):
            name = f"{transform.__module__}:{transform.__qualname__}"
            settings = replace(settings, name=name, maker=maker_of_class(transform, _said(settings)))
        return await TransformJob(settings).run()


def _said(settings: JobSettings) -> str:
    return MemberOptions.of(settings).said_of(settings.etl_args)


def _in_a_thread(job: Coroutine[Any, Any, JobReport]) -> JobReport:
    """Run it on a loop of its own, and wait; an interrupt ends it, and comes after its end."""
    loop = uvloop.new_event_loop()
    task = loop.create_task(job)

    def work() -> JobReport:
        with contextlib.closing(loop):
            return loop.run_until_complete(task)

    with ThreadPoolExecutor(1, thread_name_prefix="job") as pool, _interruptible():
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(task.cancel)
            wait([future])
            raise


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C raise here: `asyncio.run` has it cancel the task that waits here, which would not notice."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _settings(
    transform: str, source: Place | Sequence[Place], destination: Place | None, options: RunOptions
) -> JobSettings:
    unknown = options.keys() - RunOptions.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"run() has no option {', '.join(sorted(unknown))}; it has {', '.join(RunOptions.__annotations__)}"
        )
    if destination is None and not options.get("check"):
        raise ConfigurationError("no destination is given; only a check needs none")
    return JobSettings(
        transform=transform,
        sources=_paths("source", source),
        destination=None if destination is None else _path("destination", destination),
        etl_args=_args(options.get("args", "")),
        workers=_count("workers", options.get("workers"), 1),
        devices=_string("devices", options.get("devices", "")),
        workers_per_device=_count("workers_per_device", options.get("workers_per_device"), 1) or 1,
        on=_string("on", options.get("on", "")),
        cpus=_amount("cpus", options.get("cpus", 1)),
        gpus=_amount("gpus", options.get("gpus", 0)),
        shared_folders=_flag("shared_folders", options.get("shared_folders", False)),
        prefix=_string("prefix", options.get("prefix", "")),
        include=_strings("include", options.get("include", ())),
        exclude=_strings("exclude", options.get("exclude", ())),
        names=_strings("files", options["files"]) if "files" in options else None,
        template=_string("template", options.get("template", "")),
        stdin_name=_string("name", options.get("name", "")),
        clouds=CloudOptions(
            _string("endpoint", options.get("endpoint", "")),
            *(_flag(name, options.get(name, False)) for name in ("anonymous", "no_clobber", "keep_metadata")),
        ),
        extensions=_extensions(options.get("ext", {})),
        prepend=_string("prepend", options.get("prepend", "")),
        overwrite=_flag("overwrite", options.get("overwrite", False)),
        update=_flag("update", options.get("update", False)),
        preserve=_flag("preserve", options.get("preserve", False)),
        continue_on_error=_flag("continue_on_error", options.get("continue_on_error", False)),
        max_failures=_number("max_failures", options.get("max_failures")),
        timeout=_number("timeout", options.get("timeout")),
        retries=_count("retries", options.get("retries"), 0),
        checks=_flag("check", options.get("check", False)),
        part=_string("part", options.get("part", "")),
        members=_string("members", options.get("members", "")),
        members_on_error=_string("members_on_error", options.get("members_on_error", FAIL)),
        report=_path("report", options.get("report", "")),
        retry_failed=_path("retry_failed", options.get("retry_failed", "")),
        log_file=_path("log_file", options.get("log_file", "")),
        verbose=_flag("verbose", options.get("verbose", False)),
        log_level=_level(options.get("log_level", "warning")),
        quiet=not _flag("progress", options.get("progress", True)),
        keeps_failures=True,
    )


def _path(name: str, value: object, what: str = "a text or a path") -> str:
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str):
            return text
    raise ConfigurationError(f"{name} is {value!r}; it takes {what}")


def _paths(name: str, value: object) -> list[str]:
    if isinstance(value, Iterable) and not isinstance(value, str | os.PathLike):
        return [_path(name, one) for one in value]
    return [_path(name, value)]


def _strings(name: str, value: object) -> list[str]:
    """One text, or several."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_string(name, one) for one in value]
    return [_string(name, value)]


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is {value!r}; it takes a text")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}; it takes True or False")
    return value


def _count(name: str, value: object, least: int) -> int:
    """A whole number; 0 where there is none."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{name} is {value!r}; it takes a whole number of at least {least}")
    return value


def _amount(name: str, value: object) -> float:
    """A number that may be a fraction."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < inf:
        raise ConfigurationError(f"{name} is {value!r}; it takes a number of at least 0")
    return float(value)


def _number(name: str, value: object) -> str:
    """A number or what stands for one, as the command takes it; empty where there is none."""
    if value is None:
        return ""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise ConfigurationError(f"{name} is {value!r}; it takes a number or a text")
    return str(value)


def _level(value: object) -> str:
    if value not in LOG_LEVELS:
        raise ConfigurationError(f"log_level is {value!r}; it takes one of {', '.join(LOG_LEVELS)}")
    return str(value)


def _args(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        try:
            return json.dumps(dict(value))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"args can't be written as JSON ({error}); give texts, numbers, lists") from error
    raise ConfigurationError(f"args is {value!r}; it takes a text, or a mapping that is sent as JSON")


def _extensions(value: object) -> list[str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise ConfigurationError(f'ext is {value!r}; it takes new extensions by old ones, such as {{"png": "jpg"}}')
    return [f"{old}:{new}" for old, new in value.items()]
