"""What workers print, handed on while they print it.

A worker prints into a file, which never holds it up; the file is read now and then. Our own lines of it are for whoever
looks into a dead worker, and are left out; so is what comes too fast to be read, and its size is said.
"""

import asyncio
import os
import re
from collections.abc import Callable

Printed = Callable[[int, str], None]
"""Called with a worker's number, counted from 1, and a line that it has printed."""

_PAUSE = 0.1  # seconds between two looks
_AT_ONCE = 1 << 16  # bytes that are handed on at once; what is before them is left out
_OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ instore\b|instore: (?!importing )")


def is_users(line: str) -> bool:
    """Whether a line of a worker's log is what the user's code printed: it isn't ours, nor empty."""
    return bool(line.strip()) and not _OURS.match(line)


class Output:
    """What one worker prints."""

    def __init__(self, path: str, number: int, printed: Printed) -> None:
        self._path = path
        self._number = number
        self._printed = printed
        self._read = 0  # bytes
        self._begun = b""  # a line that has not ended
        self._task = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Hand on the rest."""
        self._task.cancel()
        await asyncio.wait({self._task})
        self._hand_on()
        if self._begun:
            self._say(self._begun)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            self._hand_on()

    def _hand_on(self) -> None:
        try:
            with open(self._path, "rb") as file:
                left_out = os.fstat(file.fileno()).st_size - self._read - _AT_ONCE
                if left_out > 0:
                    self._begun = b""
                    self._read += left_out
                    self._printed(self._number, f"({left_out} bytes of what it printed are left out here)")
                file.seek(self._read)
                data = file.read(_AT_ONCE)
        except OSError:  # there is no file yet, or no descriptor now: the next look has it
            return
        self._read += len(data)
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._say(line)

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="surrogateescape").rstrip("\r")
        if is_users(text):
            self._printed(self._number, text)
