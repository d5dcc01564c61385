"""What a user says of a job, on the command line or in a call."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """A job as its user describes it; nothing is checked yet.

    Attributes:
        transform: TRANSFORM, as `instore serve` takes it.
        source, destination: SRC and DST.
        etl_args: go with every object.
        workers: processes; 0: as many as there are CPUs.
        prefix: only objects whose names start with it.
        extensions: `OLD:NEW` of each extension that results change.
        prepend: goes before the results' names.
        overwrite: results that are there are made again.
        continue_on_error: a failed object doesn't end the job.
        report: file of the report; empty: none.
        verbose: say where in the class's code failures come from.
        quiet: say nothing on standard error.
        log_level: least level of what the class's code logs that is shown.
        keeps_failures: every failure is kept in memory, for `JobReport.failures`.
    """

    transform: str
    source: str
    destination: str
    etl_args: str = ""
    workers: int = 0
    prefix: str = ""
    extensions: Sequence[str] = ()
    prepend: str = ""
    overwrite: bool = False
    continue_on_error: bool = False
    report: str = ""
    verbose: bool = False
    quiet: bool = False
    log_level: str = "warning"
    keeps_failures: bool = False
