"""What the transforms of the fault table have in common: before each of their classes."""

import os
import time

from instore import ETLServer

MARK = b"made:"
INVERTED = bytes(255 - byte for byte in range(256))
MIDWAY = 1 << 20


def wait_for(gate):
    open(gate + ".begun", "w").close()
    until = time.monotonic() + 30  # hung
    while not os.path.exists(gate) and time.monotonic() < until:
        time.sleep(0.01)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


RAISES = {"exits": SystemExit(7), "is_mute": Mute(), "has_no_memory": MemoryError()}


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
