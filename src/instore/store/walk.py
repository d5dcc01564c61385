"""Names below a folder in lexicographic order, however many there are, in bounded memory.

Strategy: depth first, with a folder's name compared as if a slash were part of it: that makes the order of the walk
the order of whole names (`a-b` < `a/b` < `a0`). A folder is read once, when the walk gets there.
"""

import os
from collections.abc import Iterator
from itertools import islice

from instore.system.sorted_names import SortedNames

_NO_NAMES = ("", ".", "..")
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
    for key in sorted_entries(os.path.join(root, top), scratch, start):
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


def sorted_entries(folder: str, scratch: str | None = None, start: str = "", at_once: int = 0) -> Iterator[str]:
    """The entries of `folder` that begin with `start`, folders with a slash, in order.

    Args:
        folder: its path.
        scratch: where a file without a name may lie; default: where temporary files do.
        start: what the entries begin with.
        at_once: so many, whichever the folder has first, come before all others, in order among themselves: the others
            are not read before these are taken.
    """
    with os.scandir(folder) as entries:
        names = (
            entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
            for entry in entries
            if entry.name.startswith(start)
        )
        yield from sorted(islice(names, at_once))
        rest = SortedNames(names, scratch)
    yield from rest
