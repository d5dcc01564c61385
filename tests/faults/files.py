"""The files that rows name: an object's file as the store keeps it, and everything that only looks like one."""

import os
from collections.abc import Callable
from pathlib import Path


def make(kind: str, mountpath: Path, name: str, data: bytes) -> str:
    """Make the file of the object `name` and whatever `kind` wants beside it; returns the path to ask for."""
    return _KINDS[kind](mountpath, name, data)


def _object(mountpath: Path, name: str, content: str = "%ob") -> Path:
    path = mountpath / "@ais" / "bucket" / content / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _good(mountpath: Path, name: str, data: bytes) -> str:
    path = _object(mountpath, name)
    path.write_bytes(data)
    return str(path)


def _missing(mountpath: Path, name: str, _data: bytes) -> str:
    return str(_object(mountpath, name))


def _folder_missing(mountpath: Path, name: str, _data: bytes) -> str:
    return str(_object(mountpath, name) / "below")


def _outside(mountpath: Path, name: str, data: bytes) -> str:
    path = mountpath / f"outside-{name}"
    path.write_bytes(data)
    return str(path)


def _symlink_out(mountpath: Path, name: str, data: bytes) -> str:
    link = _object(mountpath, name)
    link.symlink_to(_outside(mountpath, name, data))
    return str(link)


def _folder_symlink_out(mountpath: Path, name: str, data: bytes) -> str:
    outside = Path(_outside(mountpath, name, data))
    link = _object(mountpath, f"{name}-folder")
    link.symlink_to(outside.parent)
    return str(link / outside.name)


def _directory(mountpath: Path, name: str, _data: bytes) -> str:
    path = _object(mountpath, name)
    path.mkdir()
    return str(path)


def _fifo(mountpath: Path, name: str, _data: bytes) -> str:
    path = _object(mountpath, name)
    os.mkfifo(path)
    return str(path)


def _work_file(mountpath: Path, name: str, data: bytes) -> str:
    path = _object(mountpath, name, "%wk")
    path.write_bytes(data)
    return str(path)


def _relative(mountpath: Path, name: str, data: bytes) -> str:
    return _good(mountpath, name, data).lstrip("/")


def _dots(mountpath: Path, name: str, data: bytes) -> str:
    _outside(mountpath, name, data)
    return str(_object(mountpath, "x").parent / ".." / ".." / ".." / f"outside-{name}")


def _environment(_mountpath: Path, _name: str, _data: bytes) -> str:
    return "/proc/self/environ"


_KINDS: dict[str, Callable[[Path, str, bytes], str]] = {
    "good": _good,
    "missing": _missing,
    "folder_missing": _folder_missing,
    "symlink_out": _symlink_out,
    "folder_symlink_out": _folder_symlink_out,
    "directory": _directory,
    "fifo": _fifo,
    "outside": _outside,
    "work_file": _work_file,
    "relative": _relative,
    "dots": _dots,
    "environment": _environment,
}
