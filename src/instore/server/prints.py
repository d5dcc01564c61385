"""What the user's code prints, with the object that it is about, and where in that code an error comes from."""

import contextlib
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "purelib")]
_OURS = os.path.dirname(os.path.dirname(__file__))
_INSTALLED = tuple(os.path.realpath(path) + os.sep for path in [_OURS, *_LIBRARIES])
_MOST_FRAMES = 20

_object: ContextVar[str] = ContextVar("object", default="")


def printing_object() -> str:
    """The object that is being transformed here; empty: none is."""
    return _object.get()


@contextlib.contextmanager
def printing(name: str) -> Iterator[None]:
    """What is printed meanwhile, in this thread or task, is of that object."""
    token = _object.set(name)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _NamingStream):
                stream.end_line()
        _object.reset(token)


def name_objects() -> None:
    """Have each line that is printed begin with its object's name, at once."""
    sys.stdout = _NamingStream(sys.stdout)
    sys.stderr = _NamingStream(sys.stderr)


class _NamingStream:
    """A text stream whose lines begin with the name of the object they are about."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = threading.local()  # a line that has not ended

    def write(self, text: str) -> int:
        """Write the lines that `text` ends."""
        name = _object.get()
        if not name:
            self._stream.write(text)
        else:
            *lines, self._begun.text = (getattr(self._begun, "text", "") + text).split("\n")
            self._stream.write("".join(f"[{name}] {line}\n" for line in lines))
        self._stream.flush()
        return len(text)

    def end_line(self) -> None:
        """End the line that has begun."""
        if getattr(self._begun, "text", ""):
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def frames_of(error: BaseException) -> list[str]:
    """The places in the user's code that an error comes from, the innermost last; at least where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not os.path.realpath(frame.filename).startswith(_INSTALLED)]
    return [_frame(frame) for frame in (own or frames[-1:])[-_MOST_FRAMES:]]


def _frame(frame: traceback.FrameSummary) -> str:
    path = os.path.relpath(frame.filename)
    shown = frame.filename if path.startswith("..") else path
    return f"{shown}:{frame.lineno} in {frame.name}" + (f": {frame.line}" if frame.line else "")
