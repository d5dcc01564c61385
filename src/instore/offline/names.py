"""The names of a job's objects: from a file or standard input (`--files-from`), or by a template (`--template`)."""

import json
import math
import sys
from collections.abc import Iterator
from typing import BinaryIO

from instore.errors import ConfigurationError, InvalidRequestError
from instore.offline.selection import Selection
from instore.system.printable import printable

_MOST = 10_000_000  # names of a template, all of which are held in memory
FORMATS = ("lines", "nul", "jsonl")


def read_names(path: str, form: str = "") -> list[str]:
    """The names in a file.

    Args:
        path: of the file; `-` for standard input.
        form: one of `FORMATS`; empty: `jsonl` where the file's name ends so, else `lines`.

    Raises:
        ConfigurationError: it can't be read, or a line is none.
    """
    form = form or ("jsonl" if path.endswith(".jsonl") else "lines")
    try:
        if path == "-":
            return list(_names(sys.stdin.buffer, form, "standard input"))
        with open(path, "rb") as file:
            return list(_names(file, form, printable(path)))
    except OSError as error:
        raise ConfigurationError(f"--files-from {printable(path)} can't be read: {error.strerror}") from error


def expanded(template: str) -> list[str]:
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
    return list(selection.given())


def _names(file: BinaryIO, form: str, where: str) -> Iterator[str]:
    pieces = file.read().split(b"\0") if form == "nul" else (line.rstrip(b"\r\n") for line in file)
    for number, piece in enumerate(pieces, 1):
        if piece and form == "jsonl":
            yield _name(piece, f"line {number} of {where}")
        elif piece:
            yield piece.decode("utf-8", "surrogateescape")


def _name(line: bytes, where: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{where} is not JSON: {error}") from error
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f'{where} has no name; write an object, such as {{"name": "d/cat.jpg"}}')
    return name
