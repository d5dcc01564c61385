"""The transforms of the table, and what they make of an object.

One transform in five shapes. It inverts every byte and puts a mark before the object, so that neither a raw copy nor
an empty object can pass for the result. `etl_args` makes it go wrong.
"""

import runpy
from enum import StrEnum

from tests.support.servers import TRANSFORMS

FOLDER = TRANSFORMS / "faults"
COMMON = FOLDER / "common.py"

_CONSTANTS = runpy.run_path(str(COMMON))
MARK: bytes = _CONSTANTS["MARK"]
INVERTED: bytes = _CONSTANTS["INVERTED"]
MIDWAY: int = _CONSTANTS["MIDWAY"]
"""Bytes after which a transform that fails midway has made more than is held back."""


class Shape(StrEnum):
    """The kinds of class a user may write."""

    BUFFERED = "buffered"
    STREAMED = "streamed"
    ASYNC_BUFFERED = "async_buffered"
    ASYNC_STREAMED = "async_streamed"
    BATCHED = "batched"

    @property
    def streamed(self) -> bool:
        return self in (Shape.STREAMED, Shape.ASYNC_STREAMED)


class Mode(StrEnum):
    """What a transform does, chosen by `etl_args`."""

    GOOD = ""
    EMPTY = "empty"
    FAILS_FIRST = "fails_first"
    FAILS_MIDWAY = "fails_midway"
    FAILS_LAST = "fails_last"
    NOT_BYTES = "not_bytes"
    EXITS = "exits"
    IS_MUTE = "is_mute"  # raises what can't be printed
    HAS_NO_MEMORY = "has_no_memory"
    SWALLOWS = "swallows"  # takes an error of its reader for the end of the object
    WAITS = "waits"  # until a file is there
    SHRINKS = "shrinks"  # cuts the file that it reads
    GROWS = "grows"  # adds to it
    OVERWRITES = "overwrites"  # writes another byte where it has read, and where it has not


def made_of(data: bytes) -> bytes:
    """What the transform makes of `data`."""
    return MARK + data.translate(INVERTED)


def source_of(shape: Shape) -> str:
    """The text of a module with the transform in that shape: what all have in common, and its class."""
    return COMMON.read_text() + "\n\n" + (FOLDER / f"{shape}.py").read_text()
