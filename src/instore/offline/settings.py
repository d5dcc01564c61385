"""What a user says of a job, on the command line or in a call."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from instore.errors import ConfigurationError
from instore.offline.cloud_store import NO_OPTIONS, CloudOptions
from instore.offline.maker import Maker
from instore.protocol.environment import FAIL
from instore.system.printable import printable

LOG_LEVELS = ("debug", "info", "warning")
RAY = "ray"
"""What `--on` begins with: the cluster of this machine; with `://HOST:PORT` another one."""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_LIMIT = re.compile(r"(\d+)|(\d+(?:\.\d+)?)%")


def parse_duration(option: str, text: str) -> float:
    """The seconds that a text such as `90`, `90s`, `1.5m` or `2h` says."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds:
        raise ConfigurationError(f"{option} {printable(text)} is no time; write seconds, or 90s, 5m, 1h")
    return seconds


class FailureLimit(NamedTuple):
    """How many objects may fail: a number, or a share of those that are to do.

    Attributes:
        number: of objects, or of hundredths.
        is_share: which of both.
    """

    number: float
    is_share: bool

    @classmethod
    def parse(cls, option: str, text: str) -> Self:
        """That of a text: `10` or `5%`."""
        match = _LIMIT.fullmatch(text.strip())
        if match is None or float(match[2] or 0) > 100:
            raise ConfigurationError(f"{option} {printable(text)} is no limit; write a number, 10, or a share, 5%")
        return cls(float(match[1] or match[2]), match[1] is None)

    def of(self, objects: int) -> int:
        """How many of so many objects may fail."""
        return int(objects * self.number / 100) if self.is_share else int(self.number)

    def __str__(self) -> str:
        return f"{self.number:g}% of the objects" if self.is_share else f"{self.number:g} objects"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """A job as its user describes it; nothing is checked yet.

    Attributes:
        transform: TRANSFORM, as `instore serve` takes it.
        name: what the class is called in the report; empty: as `transform` says.
        sources: SRC: a folder, a bucket or a web server's folder; several folders and files; `-`: standard input.
        destination: DST; None where `checks` is set: nothing is written then.
        etl_args: go with every object.
        workers: processes; 0: as many as there are CPUs.
        devices: the accelerators of the workers, as `instore.etl.devices.parse_devices` reads them; empty: none.
        workers_per_device: how many workers share one, unless `workers` says how many there are.
        on: where workers run: `ray`, or `ray://HOST:PORT`; empty: here.
        cpus, gpus: what each of them takes of a cluster.
        shared_folders: SRC and DST, if they are folders, are the same on every machine of it.
        prefix: only objects whose names start with it.
        include, exclude: only objects whose names match one of the first, and none of the second.
        files_from: file with the names of the objects; `-` for standard input; empty: none.
        template: the objects' names, with ranges, as in `shard-{0000..0999}.tar`; empty: none.
        stdin_name: what the object is called that comes on standard input.
        names: the names themselves, in its place; None: see `files_from`.
        names_format: the file's format, one of `instore.offline.names.FORMATS`; empty: by its name.
        clouds: what there is to say of the clouds' buckets among SRC and DST.
        extensions: `OLD:NEW` of each extension that results change.
        prepend: goes before the results' names.
        overwrite: results that are there are made again.
        update: of these, only those that are outdated: made by another class or with other arguments, or of an object
            that was another then.
        preserve: results get the time and the permissions of their objects' files.
        maker: what makes the results; None: as `transform` says.
        continue_on_error: a failed object doesn't end the job.
        max_failures: how many may fail, as `FailureLimit.parse` reads it; empty: see `continue_on_error`.
        timeout: how long an object may take, as `parse_duration` reads it; empty: as long as it takes.
        retries: how often an object is tried again that the transform failed on.
        checks: transform everything, and write nothing.
        report: file of the report; empty: none.
        report_format: its format, one of `instore.offline.report.FORMATS`; empty: by its name.
        part: which part of the job is done, as `JobPart.parse` reads it; empty: all of it.
        members: pattern for the members of shards that are transformed; empty: objects are no shards.
        members_on_error: what becomes of a member that fails: `fail` (its shard fails), `drop` or `keep`.
        retry_failed: report of a job whose failed objects this one is about; empty: none.
        metrics: what is told how the job ended: a file for Prometheus' node exporter, or a push gateway; empty: none.
        log_file: file that all that is said is appended to; empty: none.
        verbose: say where in the class's code failures come from.
        quiet: say nothing on standard error.
        log_level: least level of what the class's code logs that is shown.
        keeps_failures: every failure is kept in memory, for `JobReport.failures`.
    """

    transform: str
    name: str = ""
    sources: Sequence[str]
    destination: str | None
    etl_args: str = ""
    workers: int = 0
    devices: str = ""
    workers_per_device: int = 1
    on: str = ""
    cpus: float = 1
    gpus: float = 0
    shared_folders: bool = False
    prefix: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    files_from: str = ""
    template: str = ""
    stdin_name: str = ""
    names: Sequence[str] | None = None
    names_format: str = ""
    clouds: CloudOptions = NO_OPTIONS
    extensions: Sequence[str] = ()
    prepend: str = ""
    overwrite: bool = False
    update: bool = False
    preserve: bool = False
    maker: Maker | None = None
    continue_on_error: bool = False
    max_failures: str = ""
    timeout: str = ""
    retries: int = 0
    checks: bool = False
    report: str = ""
    report_format: str = ""
    part: str = ""
    members: str = ""
    members_on_error: str = FAIL
    retry_failed: str = ""
    metrics: str = ""
    log_file: str = ""
    verbose: bool = False
    quiet: bool = False
    log_level: str = "warning"
    keeps_failures: bool = False
