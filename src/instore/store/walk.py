"""Names below a folder in lexicographic order, however many there are, in bounded memory.

Strategy: depth first, with a folder's name compared as if a slash were part of it: that makes the order of the walk
the order of whole names (`a-b` < `a/b` < `a0`). A folder is read once, when the walk gets there. One with more entries
than `_RUN` is sorted in runs on the disk, in a file without a name, and the runs are merged as they are read.
"""

import heapq
import os
import tempfile
from collections.abc import Iterator

from instore.system.files import write_all

_RUN = 16_384  # names that are sorted in memory
_NO_NAMES = ("", ".", "..")
_BLOCK = 32_768  # bytes of a run that are read at once
_SECTOR = 512  # bytes; what `st_blocks` counts in


def walk(root: str, scratch: str, prefix: str = "", after: str = "", recurse: bool = True) -> Iterator[str]:
    """Names of the files below `root`.

    A name that appears or goes while the walk is under way may or may not be seen.
    """
    inside, slash, start = prefix.rpartition("/")
    if slash and any(part in _NO_NAMES or "\0" in part for part in inside.split("/")):
        return  # no name starts with that; on the disk it would lead out of the folder
    top = inside + "/" if inside else ""
    try:
        yield from _below(root, scratch, top, start, after, recurse)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.isdir(root):
            raise FileNotFoundError(root) from None


def _below(root: str, scratch: str, top: str, start: str, after: str, recurse: bool) -> Iterator[str]:
    for key in _sorted_entries(os.path.join(root, top), scratch, start):
        name = top + key
        if not key.endswith("/"):
            if name > after:
                yield name
        elif recurse and (name > after or after.startswith(name)):
            try:
                yield from _below(root, scratch, name, "", after, recurse)
            except FileNotFoundError:
                continue  # its last object has just been deleted
        elif not recurse and name > after and _has_file(os.path.join(root, name)):
            yield name


def sizes(root: str, prefix: str = "") -> Iterator[tuple[int, int]]:
    """Bytes of each file below `root` and bytes that it takes on the disk, in no order: quicker than names are."""
    inside, slash, start = prefix.rpartition("/")
    if slash and any(part in _NO_NAMES or "\0" in part for part in inside.split("/")):
        return
    try:
        yield from _sizes_below(os.path.join(root, inside), start)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.isdir(root):
            raise FileNotFoundError(root) from None


def _sizes_below(folder: str, start: str) -> Iterator[tuple[int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(start):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes_below(entry.path, "")
                else:
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_size, status.st_blocks * _SECTOR
            except FileNotFoundError:
                continue  # it has just been deleted


def _has_file(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(not entry.is_dir(follow_symlinks=False) or _has_file(entry.path) for entry in entries)
    except FileNotFoundError:
        return False


def _sorted_entries(folder: str, scratch: str, start: str) -> Iterator[str]:
    """The entries of `folder` that begin with `start`, folders with a slash, in order."""
    runs: list[tuple[int, int]] = []
    names: list[str] = []
    spill = None
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(start):
                    names.append(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)
                if len(names) == _RUN:
                    spill = spill or tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
                    runs.append(_write_run(spill.fileno(), names))
                    names = []
        names.sort()
        if spill is None:
            yield from names
        else:
            yield from heapq.merge(names, *(_read_run(spill.fileno(), *run) for run in runs))
    finally:
        if spill is not None:
            spill.close()


def _write_run(descriptor: int, names: list[str]) -> tuple[int, int]:
    names.sort()
    begin = os.lseek(descriptor, 0, os.SEEK_END)
    size = write_all(descriptor, "\0".join([*names, ""]).encode(errors="surrogateescape"))
    return begin, begin + size


def _read_run(descriptor: int, begin: int, end: int) -> Iterator[str]:
    rest = b""
    while begin < end:
        block = os.pread(descriptor, min(_BLOCK, end - begin), begin)
        begin += len(block)
        *whole, rest = (rest + block).split(b"\0")
        for name in whole:
            yield name.decode(errors="surrogateescape")
