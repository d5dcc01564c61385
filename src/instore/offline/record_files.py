"""The records of a folder of results: files of JSON lines, one for whole jobs and one for each part of a job."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

from instore.offline.part import JobPart
from instore.offline.records import RECORDS, Record, ResultRecords, line_of
from instore.system.files import write_all

_SUFFIX = ".jsonl"
_SPARE_LINES = 1000  # that are not worth writing the others anew


class RecordFiles:
    """What is kept in a folder. Everything blocks.

    Args:
        folder: that of the results.
        part: which part of a job writes; None: a whole job.
    """

    def __init__(self, folder: str, part: JobPart | None) -> None:
        self._folder = os.path.join(folder, RECORDS)
        own = "whole" if part is None else f"part-{part.index}-of-{part.count}"
        self._is_whole = part is None
        self._path = os.path.join(self._folder, own + _SUFFIX)
        self._file = -1
        self._read = 0  # lines

    def lines(self) -> Iterator[bytes]:
        """All that is kept, by whichever job."""
        for path in self._paths():
            with open(path, "rb") as file:
                for line in file:
                    if line.strip():
                        self._read += 1
                        yield line

    def append(self, records: Sequence[Record]) -> None:
        """Keep records, on the disk."""
        if self._file < 0:
            os.makedirs(self._folder, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        # The first newline ends a line that a kill, or a full disk, has torn.
        write_all(self._file, b"\n" + b"".join(map(line_of, records)))
        os.fsync(self._file)

    def shrink(self, records: ResultRecords) -> None:
        """Write the files anew, as one, if most of their lines have been replaced; only where no part of a job runs."""
        count = records.count()
        if not self._is_whole or self._read <= 2 * count + _SPARE_LINES:
            return
        partial = self._path + ".partial"
        with open(partial, "wb") as file:
            file.writelines(records.lines())
            file.flush()
            os.fsync(file.fileno())
        others = [path for path in self._paths() if path != self._path]
        os.replace(partial, self._path)
        for path in others:
            os.unlink(path)

    def close(self) -> None:
        """Be done with it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _paths(self) -> Iterable[str]:
        with contextlib.suppress(FileNotFoundError):
            return [os.path.join(self._folder, name) for name in os.listdir(self._folder) if name.endswith(_SUFFIX)]
        return []
