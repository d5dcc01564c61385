"""The object that the user's code is at work on: what `self.object` tells of it."""

import math
import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from instore.protocol.environment import Environment
from instore.protocol.headers import CUSTOM_METADATA, OBJECT_INFO
from instore.protocol.names import Uname
from instore.protocol.requests import SourceKind
from instore.protocol.values import parse_json
from instore.server.entry import AccessLogEntry

NO_OBJECT: Sequence[AccessLogEntry] = ()
UNDER_WAY: ContextVar[AccessLogEntry | Sequence[AccessLogEntry]] = ContextVar("UNDER_WAY", default=NO_OBJECT)
"""What this thread, and the tasks that it starts, are at: an object, or those of a batch."""


class ObjectInfo:
    """What is known of the object that is being transformed; `self.object`.

    It is right in the thread of the transform's call, and in the tasks that it starts, however many objects are under
    way. Where the members of a shard are transformed it is the shard. What nobody has said is empty, or None
    (docs/transform.md#the-object).
    """

    __slots__ = ("_entry", "_said")

    def __init__(self, entry: AccessLogEntry) -> None:
        self._entry = entry
        self._said: Mapping[str, Any] | None = None

    @property
    def bucket(self) -> str:
        """The bucket's name, or that of the folder; empty over WebSocket, where none comes."""
        return self._place[0]

    @property
    def name(self) -> str:
        """The object's name in its bucket or folder, such as `photos/cat.jpg`, whichever way it came."""
        return self._place[1]

    @property
    def size(self) -> int | None:
        """The object's bytes; None where that is not known before its end."""
        said = self._facts.get("size")
        if isinstance(said, int):
            return said
        source = self._entry.source
        return None if source is None else source.size

    @property
    def content_type(self) -> str:
        """What the object's store, or whoever sent it, says that it is, such as `image/png`; empty: nobody does."""
        return self._told("content_type", "content-type")

    @property
    def etag(self) -> str:
        """The entity tag that the object's store gives it, without quotes; empty: it gives none."""
        return self._told("etag", "etag").removeprefix("W/").strip('"')

    @property
    def metadata(self) -> Mapping[str, str]:
        """The object's user metadata in its store; empty where it has none, or where it isn't told."""
        metadata = self._facts.get("metadata")
        if isinstance(metadata, dict):
            return {str(name): str(value) for name, value in metadata.items()}
        pairs = (pair.partition("=") for pair in self._answered(CUSTOM_METADATA).split(", "))
        return {name.strip(): value for name, separator, value in pairs if separator}

    @property
    def time_left(self) -> float:
        """Seconds until the object is given up, if that is limited, and below 0 if it has been; else infinite."""
        seconds = self._facts.get("seconds")
        ends = [self._entry.began + Environment.read(os.environ).object_time]
        if isinstance(seconds, int | float):
            ends.append(self._entry.begun + seconds)
        return min(ends) - perf_counter() if not math.isinf(min(ends)) else math.inf

    def __repr__(self) -> str:
        return f"ObjectInfo(bucket={self.bucket!r}, name={self.name!r}, size={self.size})"

    @property
    def _place(self) -> tuple[str, str]:
        request = self._entry.request
        path = "" if request is None else request.path
        try:
            uname = Uname.parse(path)
        except ValueError:
            if self._entry.method == _WEBSOCKET or "/" not in path:
                return "", path
            bucket, _, name = path.partition("/")
            return bucket, name
        return uname.bucket, uname.object

    @property
    def _facts(self) -> Mapping[str, Any]:
        """What a job says of the object."""
        if self._said is None:
            try:
                said = parse_json(self._header(OBJECT_INFO).encode() or b"{}")
            except ValueError:  # it is no job's
                said = {}
            self._said = said if isinstance(said, dict) else {}
        return self._said

    def _told(self, fact: str, header: str) -> str:
        said = self._facts.get(fact)
        if isinstance(said, str):
            return said
        request = self._entry.request
        is_body = request is not None and request.origin is SourceKind.BODY
        return self._header(header) if is_body and fact == "content_type" else self._answered(header)

    def _header(self, name: str) -> str:
        """A header of the request."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self._entry.headers if key == wanted), "")

    def _answered(self, name: str) -> str:
        """A header of the answer that the object was fetched by."""
        return "" if self._entry.source is None else self._entry.source.headers.get(name.lower(), "")


_WEBSOCKET = "WS"


class CurrentObject:
    """`self.object`: a descriptor that a class, or an object of it, may put something else in place of."""

    def __get__(self, server: object, owner: type | None = None) -> Any:
        del owner
        if server is None:
            return self
        current = UNDER_WAY.get()
        if isinstance(current, AccessLogEntry):
            return ObjectInfo(current)
        raise LookupError(
            "transform_batch has several objects: self.objects has one for each, in order"
            if current
            else "self.object is the object that is being transformed, and none is here; ask in a transform's own call"
        )


class CurrentObjects:
    """`self.objects`: those of a batch, in order."""

    def __get__(self, server: object, owner: type | None = None) -> Any:
        del owner
        if server is None:
            return self
        current = UNDER_WAY.get()
        return [ObjectInfo(one) for one in ([current] if isinstance(current, AccessLogEntry) else current)]
