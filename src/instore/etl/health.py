"""What is said of a server's process that was never ready."""

from instore.errors import ConfigurationError
from instore.etl.process import Process
from instore.system.printable import printable

_USAGE = 2


def why_not_ready(process: Process, what: str) -> ConfigurationError:
    """The error for a process that died before it was ready."""
    lines = [printable(line) for line in process.last_lines()]
    if process.exited.result() == _USAGE and lines:
        return ConfigurationError(lines[-1].removeprefix("instore: "))  # it is going to be said again
    log = "\n  ".join(["its log ends:", *lines]) if lines else "its log is empty"
    return ConfigurationError(f"{what} {process.how_it_died()} before it was ready; {log}")
