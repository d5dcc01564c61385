"""The log of a job: all that is said of it, a line each with its time, and every object that failed or was skipped."""

import time

from instore.errors import ConfigurationError
from instore.system.printable import printable


class LogFile:
    """A file that lines are appended to, each as it comes.

    Raises:
        ConfigurationError: it can't be written.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115  # open as long as the job
        except OSError as error:
            raise ConfigurationError(f"--log-file {printable(path)} can't be written: {error.strerror}") from error

    def write(self, text: str) -> None:
        """Append a line."""
        self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(text)}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
