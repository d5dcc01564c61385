"""What the server needs of a user's object: all that it knows of it, and the checks that the object can keep it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from instore.errors import UnfitClassError


class Shape(Enum):
    """Which method transforms."""

    WHOLE = auto()
    BATCH = auto()
    STREAM = auto()
    MANY = auto()


@dataclass(frozen=True, slots=True)
class Transform:
    """A user's object, as the server sees it. `instore.webserver.base_etl_server.ETLServer` documents what it may have.

    Attributes:
        server: the object.
        shape: which method is used.
        method: that method.
        decode_args: makes what the method gets as its arguments of a text.
        get_mime_type: gives the content type of the results.
        warm_up: called before the first request.
        concurrency: transforms at once.
        offered_concurrency: objects that are worth sending at once.
        max_batch_size, batch_timeout: of batches.
        wants_raw_path: the method's path is as it came.
        encodes_text: a result that is text is taken.
        seekable: a streaming method's reader can go back.
    """

    server: object
    shape: Shape
    method: Callable[..., Any]
    decode_args: Callable[[str], Any]
    get_mime_type: Callable[[], str]
    warm_up: Callable[[], object]
    concurrency: int
    offered_concurrency: int
    max_batch_size: int
    batch_timeout: float
    wants_raw_path: bool
    encodes_text: bool
    seekable: bool

    @property
    def name(self) -> str:
        """The class's."""
        return type(self.server).__name__


def check_settings(owner: str, settings: Any) -> None:
    """Refuse settings that are none, on a class or as set on an object."""
    for name in ("concurrency", "max_batch_size"):
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnfitClassError(f"{owner}.{name} is {value!r}; it takes a whole number of at least 1")
    if not isinstance(settings.seekable, bool):
        raise UnfitClassError(f"{owner}.seekable is {settings.seekable!r}; it takes True or False")
    seconds = settings.batch_timeout
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
        raise UnfitClassError(f"{owner}.batch_timeout is {seconds!r}; it takes a number of seconds, 0 or more")
