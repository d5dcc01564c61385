"""The transforms of the table, and what they make of an object.

One transform in five shapes. It inverts every byte and puts a mark before the object, so that neither a raw copy nor
an empty object can pass for the result. `etl_args` makes it go wrong.
"""

from enum import StrEnum

MARK = b"made:"
INVERTED = bytes(255 - byte for byte in range(256))
MIDWAY = 1 << 20
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


_COMMON = f"""
import os
import time

from instore import ETLServer

MARK = {MARK!r}
INVERTED = bytes(255 - byte for byte in range(256))
MIDWAY = {MIDWAY}


def wait_for(gate):
    open(gate + ".begun", "w").close()
    until = time.monotonic() + 30  # hung
    while not os.path.exists(gate) and time.monotonic() < until:
        time.sleep(0.01)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


RAISES = {{"exits": SystemExit(7), "is_mute": Mute(), "has_no_memory": MemoryError()}}


def made_of(data, mode, argument):
    if mode == "waits":
        wait_for(argument)
    if mode in RAISES:
        raise RAISES[mode]
    if mode.startswith("fails"):
        raise ValueError("as it was told")
    if mode == "not_bytes":
        return 42
    return b"" if mode == "empty" else MARK + data.translate(INVERTED)


class Pieces:
    def __init__(self, etl_args):
        self.mode, _, self.argument = etl_args.partition(":")
        self.made = 0

    def start(self):
        if self.mode == "waits":
            wait_for(self.argument)
        if self.mode in RAISES:
            raise RAISES[self.mode]
        if self.mode == "fails_first":
            raise ValueError("as it was told")
        return b"" if self.mode == "empty" else MARK

    def next(self, data):
        self.made += len(data)
        if self.mode == "fails_midway" and self.made > MIDWAY:
            raise ValueError("as it was told")
        if self.mode == "shrinks":
            os.truncate(self.argument, MIDWAY)
        if self.mode in ("grows", "overwrites") and self.made == len(data):  # once
            self.write()
        if self.mode == "not_bytes":
            return 42
        return b"" if self.mode == "empty" else data.translate(INVERTED)

    def end(self):
        if self.mode.startswith("fails"):
            raise ValueError("as it was told")
        return b""

    def write(self):
        with open(self.argument, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            for place in (size,) if self.mode == "grows" else (0, size - 1):
                file.seek(place)
                file.write(b"?")
"""

_CLASSES = {
    Shape.BUFFERED: """
class Buffered(ETLServer):
    def transform(self, data, path, etl_args):
        mode, _, argument = etl_args.partition(":")
        return made_of(data, mode, argument)
""",
    Shape.ASYNC_BUFFERED: """
class AsyncBuffered(ETLServer):
    async def transform(self, data, path, etl_args):
        mode, _, argument = etl_args.partition(":")
        return made_of(data, mode, argument)
""",
    Shape.BATCHED: """
class Batched(ETLServer):
    def transform_batch(self, objects, paths, etl_args):
        mode, _, argument = etl_args.partition(":")
        return [made_of(data, mode, argument) for data in objects]
""",
    Shape.STREAMED: """
class Streamed(ETLServer):
    def transform_stream(self, reader, path, etl_args):
        pieces = Pieces(etl_args)
        yield pieces.start()
        try:
            while data := reader.read(300_000):
                yield pieces.next(data)
        except Exception:
            if pieces.mode != "swallows":
                raise
        yield pieces.end()
""",
    Shape.ASYNC_STREAMED: """
class AsyncStreamed(ETLServer):
    async def transform_stream(self, reader, path, etl_args):
        pieces = Pieces(etl_args)
        yield pieces.start()
        try:
            while data := await reader.read(300_000):
                yield pieces.next(data)
        except Exception:
            if pieces.mode != "swallows":
                raise
        yield pieces.end()
""",
}


def source_of(shape: Shape) -> str:
    """The text of a module with the transform in that shape."""
    return _COMMON + _CLASSES[shape]
