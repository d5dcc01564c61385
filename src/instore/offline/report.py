"""The report of a job (docs/jobs.md#the-report): what became of each item, as JSON or as JSON lines.

JSON is written beside its file and put there when it is whole. JSON lines are appended, each by one write: what is
there is whole at every moment, also after a kill. What is no file, such as a pipe, is written to as it is.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from instore.errors import ConfigurationError
from instore.offline.interfaces import ItemResult
from instore.system.files import write_all
from instore.system.printable import printable

LINES = ".jsonl"
"""How the name of a file of JSON lines ends."""
FORMATS = ("json", "jsonl")

_BEGIN = b'{"job": '


class JobReportFile(Protocol):
    """A report under way."""

    def add(self, result: ItemResult) -> None:
        """Write what became of an item."""

    def add_member(self, name: str, outcome: str, cause: str) -> None:
        """Write what became of a shard's member, `shard!member`."""

    def close(self, summary: Mapping[str, object]) -> None:
        """Write the summary; the report is whole."""

    def discard(self) -> None:
        """Be done with it without a summary; does nothing after `close`."""


def open_report(path: str, form: str, job: Mapping[str, object]) -> JobReportFile:
    """Begin a report.

    Args:
        path: of its file.
        form: one of `FORMATS`; empty: JSON lines where the file's name ends so, else JSON.
        job: what the job is.

    Raises:
        ConfigurationError: it can't be written there.
    """
    if os.path.isdir(path):
        raise ConfigurationError(f"--report {printable(path)} is a folder; name a file")
    try:
        if is_lines(path, form):
            return LinesReport(path, job)
        return Report(path)
    except OSError as error:
        raise ConfigurationError(f"--report {printable(path)} can't be written: {error.strerror}") from error


def is_lines(path: str, form: str) -> bool:
    """Whether a report is JSON lines, by its form or, if none is given, by its name."""
    return form == "jsonl" or (not form and path.endswith(LINES))


class Report:
    """A report as one JSON object, kept beside its file until it is closed."""

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._partial = self._path + ".partial"
        stream = _open_stream(path)
        self._is_stream = stream is not None
        self._file = open(self._partial if stream is None else stream, "w", encoding="ascii")  # noqa: SIM115
        self._separator = '{"objects": [\n'

    def add(self, result: ItemResult) -> None:
        """Write a line."""
        self._write(_entry(result))

    def add_member(self, name: str, outcome: str, cause: str) -> None:
        """Write a line."""
        self._write({"name": name, "outcome": outcome, "error": cause})

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
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # what is still to be written, on a full disk
            self._file.close()
        if not self._is_stream:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._partial)

    def _write(self, entry: Mapping[str, object]) -> None:
        self._file.write(self._separator + json.dumps(dict(entry)))
        self._separator = ",\n"


class LinesReport:
    """A report as JSON lines, behind those of the jobs before."""

    def __init__(self, path: str, job: Mapping[str, object]) -> None:
        stream = _open_stream(path)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666) if stream is None else stream
        self._is_open = True
        if stream is None:
            self._check(path)
        self._write({"job": dict(job)})

    def add(self, result: ItemResult) -> None:
        """Append a line."""
        self._write(_entry(result))

    def add_member(self, name: str, outcome: str, cause: str) -> None:
        """Append a line."""
        self._write({"name": name, "outcome": outcome, "error": cause})

    def close(self, summary: Mapping[str, object]) -> None:
        """Append the summary."""
        self._write({"summary": dict(summary)})
        with contextlib.suppress(OSError):  # a pipe has no disk
            os.fsync(self._file)
        self.discard()

    def discard(self) -> None:
        """Close it; what is there stays."""
        if self._is_open:
            self._is_open = False
            os.close(self._file)

    def _check(self, path: str) -> None:
        """Begin a line of its own, behind such lines only."""
        begin = os.pread(self._file, len(_BEGIN), 0)
        if begin and begin != _BEGIN:
            os.close(self._file)
            raise ConfigurationError(f"--report {printable(path)} has something else than a report; name another file")
        if begin and os.pread(self._file, 1, os.fstat(self._file).st_size - 1) != b"\n":  # the disk was full
            write_all(self._file, b"\n")

    def _write(self, line: Mapping[str, object]) -> None:
        write_all(self._file, json.dumps(line).encode() + b"\n")


def failed_names(path: str) -> list[str]:
    """The objects that have failed by a report, in either form; of several lines for one the last one counts.

    Raises:
        ConfigurationError: it can't be read, or is none.
    """
    outcomes: dict[str, str] = {}
    try:
        with open(path, encoding="ascii") as file:
            for entry in _entries(file.read()):
                outcomes[entry["name"]] = entry["outcome"]
    except OSError as error:
        raise ConfigurationError(f"--retry-failed {printable(path)} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"--retry-failed {printable(path)} is no report of a job ({error}); name what --report has written"
        ) from error
    return [name for name, outcome in outcomes.items() if outcome == "failed"]


def _entries(text: str) -> Iterator[dict[str, Any]]:
    """The items of a report."""
    if text.startswith('{"objects"'):
        yield from json.loads(text)["objects"]
        return
    if not text.startswith(_BEGIN.decode()):
        raise ValueError("it begins otherwise")
    *lines, torn = text.split("\n")  # the last one is empty, or was never whole
    del torn
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):  # a line that was cut short by a full disk, and others followed
            entry = json.loads(line)
            if "name" in entry:
                yield entry


def _entry(result: ItemResult) -> dict[str, object]:
    """What a report says of an item. Bytes of a name that are not UTF-8 are lone surrogates, as in `os.fsdecode`."""
    item = result.item
    entry: dict[str, object] = {
        "name": item.name,
        "outcome": result.status,
        "error": result.error or item.reason or None,
        "result": item.result or None,
        "source_bytes": item.size,
        "result_bytes": result.result_bytes,
        "seconds": result.seconds if result.seconds is None else round(result.seconds, 6),
    }
    if result.results:
        entry["results"] = [{"name": made.name, "bytes": made.size} for made in result.results]
    return {**entry, "frames": list(result.frames)} if result.frames else entry


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
