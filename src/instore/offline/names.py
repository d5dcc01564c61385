"""The names of a job's objects: from a file or standard input (`--files-from`), or by a template (`--template`)."""

import json
import math
import sys
from collections.abc import Iterator
from typing import BinaryIO

from instore.errors import ConfigurationError, InvalidRequestError
from instore.offline.selection import Selection
from instore.system.printable import printable

_MOST = 10_000_000  # names of a template
_BLOCK = 1 << 16  # bytes of a file that are read at once
FORMATS = ("lines", "nul", "jsonl")


def read_names(path: str, form: str = "") -> Iterator[str]:
    """The names in a file, read as they are taken.

    Args:
        path: of the file; `-` for standard input.
        form: one of `FORMATS`; empty: `jsonl` where the file's name ends so, else `lines`.

    Raises:
        ConfigurationError: it can't be read, or a line is none.
    """
    form = "jsonl" if is_json(path, form) else form or "lines"
    try:
        if path == "-":
            yield from _names(sys.stdin.buffer, form, "standard input")
            return
        with open(path, "rb") as file:
            yield from _names(file, form, printable(path))
    except OSError as error:
        raise ConfigurationError(f"--files-from {printable(path)} can't be read: {error.strerror}") from error


def is_json(path: str, form: str) -> bool:
    """Whether a file's lines are JSON; see `read_names`."""
    return form == "jsonl" or (not form and path.endswith(".jsonl"))


def expanded(template: str) -> Iterator[str]:
    """The names that a template with ranges stands for, such as `shard-{0000..0999}.tar`.

    Raises:
        ConfigurationError: it has no range, or too many names.
    """
    try:
        selection = Selection.from_template(template)
    except InvalidRequestError as error:
        raise ConfigurationError(f"--template: {error}") from error
    if not selection.ranges:
        raise ConfigurationError(
            f"--template {printable(template)} has no range, such as {{0000..0999}}; --prefix takes the start of names"
        )
    count = math.prod(map(len, selection.ranges))
    if count > _MOST:
        raise ConfigurationError(f"--template {printable(template)} stands for {count} names; the most are {_MOST}")
    return selection.given()


def _names(file: BinaryIO, form: str, where: str) -> Iterator[str]:
    pieces = _split_at_nul(file) if form == "nul" else (line.rstrip(b"\r\n") for line in file)
    for number, piece in enumerate(pieces, 1):
        if piece and form == "jsonl":
            yield _name(piece, f"line {number} of {where}")
        elif piece:
            yield piece.decode("utf-8", "surrogateescape")


def _split_at_nul(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := file.read(_BLOCK):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
    yield rest


def _name(line: bytes, where: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f'{where} has no name; write an object, such as {{"name": "d/cat.jpg"}}')
    return name
