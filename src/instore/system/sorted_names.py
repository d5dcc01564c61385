"""Names in order, however many there are, in bounded memory.

Strategy: many names are sorted in runs on the disk, in a file without a name, and the runs are merged as they are read.
"""

import heapq
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice

from instore.system.files import write_all

_RUN = 16_384  # names that are sorted in memory
_BLOCK = 8_192  # bytes of a run that are read at once
_END = b"\xff"  # of a name: no byte of UTF-8
_ERRORS = "surrogatepass"  # a name may have half a surrogate, as Python reads what is not UTF-8


class SortedNames:
    """Names in order, each once. Several threads may go through them, each from the first on.

    Args:
        names: in any order; they are gone through at once.
        scratch: the folder of the file without a name; default: where temporary files are.
    """

    def __init__(self, names: Iterable[str], scratch: str | None = None) -> None:
        rest = iter(names)
        self._names = sorted(islice(rest, _RUN))
        self._runs: list[tuple[int, int]] = []
        if len(self._names) == _RUN:
            file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - it is closed with the last reference to us
            weakref.finalize(self, file.close)
            self._file = file.fileno()
            while self._names:
                self._runs.append(_write_run(self._file, self._names))
                self._names = sorted(islice(rest, _RUN))

    def __iter__(self) -> Iterator[str]:
        before = None
        for name in heapq.merge(*(_read_run(self._file, *run) for run in self._runs)) if self._runs else self._names:
            if name != before:
                yield name
            before = name


def _write_run(file: int, names: list[str]) -> tuple[int, int]:
    """Write names behind those that are there; where they begin and end."""
    begin = os.lseek(file, 0, os.SEEK_END)
    return begin, begin + write_all(file, b"".join(name.encode(errors=_ERRORS) + _END for name in names))


def _read_run(file: int, begin: int, end: int) -> Iterator[str]:
    rest = b""
    while begin < end:
        block = os.pread(file, min(_BLOCK, end - begin), begin)
        begin += len(block)
        *whole, rest = (rest + block).split(_END)
        for name in whole:
            yield name.decode(errors=_ERRORS)
