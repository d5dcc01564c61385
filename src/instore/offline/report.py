"""The report of a job: a JSON file with a line for each item, written as they come and there only when it is whole."""

import contextlib
import json
import os
from collections.abc import Mapping

from instore.errors import ConfigurationError
from instore.offline.interfaces import ItemResult
from instore.system.printable import printable


class Report:
    """A report under way, kept beside `path` until it is closed.

    Raises:
        ConfigurationError: the file can't be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._partial = path + ".partial"
        if os.path.isdir(path):
            raise ConfigurationError(f"--report {printable(path)} is a folder; name a file")
        try:
            self._file = open(self._partial, "w", encoding="ascii")  # noqa: SIM115  # open for as long as the job
        except OSError as error:
            raise ConfigurationError(f"--report {printable(path)} can't be written: {error.strerror}") from error
        self._separator = '{"objects": [\n'

    def add(self, result: ItemResult) -> None:
        """Write a line. Bytes of a name that are not UTF-8 become lone surrogates, as in `os.fsdecode`."""
        item = result.item
        line = {
            "name": item.name,
            "outcome": result.status,
            "error": result.error or item.reason or None,
            "result": item.result or None,
            "source_bytes": item.size,
            "result_bytes": result.result_bytes,
            "seconds": result.seconds if result.seconds is None else round(result.seconds, 6),
        }
        self._file.write(self._separator + json.dumps(line))
        self._separator = ",\n"

    def close(self, summary: Mapping[str, object]) -> None:
        """Write the summary, and put the report where it belongs.

        Raises:
            OSError: the disk is full, or failed.
        """
        start = self._separator if self._separator != ",\n" else "\n"
        self._file.write(f'{start}], "summary": {json.dumps(dict(summary))}}}\n')
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._partial, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._partial)
