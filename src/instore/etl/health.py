"""Why a server's process is not ready: what it said last."""

from instore.errors import ConfigurationError
from instore.etl.process import Process
from instore.system import exit_codes
from instore.system.printable import printable


def why_not_ready(process: Process, what: str) -> ConfigurationError:
    """The error for a process that died before it was ready."""
    lines = process.last_lines()
    if process.exited.result() == exit_codes.CONFIGURATION and lines:
        return ConfigurationError(printable(lines[-1]).removeprefix("instore: "))  # it is going to be said again
    return ConfigurationError(f"{what} {process.how_it_died()} before it was ready; {end_of_log(process)}")


def end_of_log(process: Process) -> str:
    """The last lines that a process has printed, as the end of a sentence."""
    lines = [printable(line) for line in process.last_lines()]
    return "\n  ".join(["its log ends:", *lines]) if lines else "its log is empty"
