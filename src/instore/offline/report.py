"""The report of a job: a JSON file with a line for each item, written as they come and there only when it is whole."""

import contextlib
import json
import os
import stat
from collections.abc import Mapping

from instore.errors import ConfigurationError
from instore.offline.interfaces import ItemResult
from instore.system.printable import printable


class Report:
    """A report under way, kept beside its file until it is closed. What is no file, such as a pipe, is written to."""

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._partial = self._path + ".partial"
        if os.path.isdir(path):
            raise ConfigurationError(f"--report {printable(path)} is a folder; name a file")
        try:
            stream = _open_stream(path)
            self._is_stream = stream is not None
            self._file = open(self._partial if stream is None else stream, "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise ConfigurationError(f"--report {printable(path)} can't be written: {error.strerror}") from error
        self._separator = '{"objects": [\n'

    def add(self, result: ItemResult) -> None:
        """Write a line. Bytes of a name that are not UTF-8 become lone surrogates, as in `os.fsdecode`."""
        item = result.item
        line: dict[str, object] = {
            "name": item.name,
            "outcome": result.status,
            "error": result.error or item.reason or None,
            "result": item.result or None,
            "source_bytes": item.size,
            "result_bytes": result.result_bytes,
            "seconds": result.seconds if result.seconds is None else round(result.seconds, 6),
        }
        if result.frames:
            line["frames"] = list(result.frames)
        self._file.write(self._separator + json.dumps(line))
        self._separator = ",\n"

    def close(self, summary: Mapping[str, object]) -> None:
        """Write the summary, and put the report where it belongs."""
        start = self._separator if self._separator != ",\n" else "\n"
        self._file.write(f'{start}], "summary": {json.dumps(dict(summary))}}}\n')
        self._file.flush()
        if not self._is_stream:
            os.fsync(self._file.fileno())
            os.replace(self._partial, self._path)
        self._file.close()

    def discard(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        with contextlib.suppress(OSError):  # what is still to be written, on a full disk
            self._file.close()
        if not self._is_stream:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._partial)


def _open_stream(path: str) -> int | None:
    """A descriptor of what is written to where it is: no regular file, or one that we print to; None for any other."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return None
    for own in (1, 2):
        if os.path.samestat(state, os.fstat(own)):
            return os.dup(own)
    return None if stat.S_ISREG(state.st_mode) else os.open(path, os.O_WRONLY)
