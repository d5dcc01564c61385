"""Which processes there are."""

import contextlib
from pathlib import Path


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):  # it has just gone
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    found[int(entry.name)] = int(parent)
    return found


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, zombies left out."""
    parents = _parents()
    below, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - below
        below |= new
    return sorted(below)


def those_with(text: str) -> list[int]:
    """The processes whose environment or command line holds `text`."""
    found = []
    for pid in _parents():
        with contextlib.suppress(OSError):
            folder = Path(f"/proc/{pid}")
            if text.encode() in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes():
                found.append(pid)
    return found
