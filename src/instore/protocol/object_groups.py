"""Several small objects in one request, and their answers in one body (docs/protocol.md#objects-in-groups).

The request begins with a line, a JSON array. For an object of which a file is named it has `[path, fqn, etl_args,
takes_results]`, for one whose bytes follow behind the line `[path, size, etl_args, takes_results, info]`. Each answer
has a head, headers as a JSON object, and a body, and comes when it is there, in any order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from struct import Struct
from typing import NamedTuple

from instore.errors import InvalidRequestError
from instore.protocol.requests import ObjectRequest, SourceKind

MOST_OBJECTS = 64
"""Objects in a group at most."""

GROUP_TYPE = "application/vnd.instore.group"
"""Content type of a group's answers."""

_ENTRY = "an object takes a path, a file or a number of bytes, and arguments"

_HEAD = Struct("!HHIQ")
HEAD_SIZE = _HEAD.size


class AnswerHead(NamedTuple):
    """What stands before an answer's headers.

    Attributes:
        number: of its object in the group, from 0.
        status: HTTP status.
        headers_size, body_size: bytes that follow.
    """

    number: int
    status: int
    headers_size: int
    body_size: int


class GroupedObject(NamedTuple):
    """One object of a group.

    Attributes:
        path: `<bucket>/<object>`.
        fqn: path of its file; empty if its bytes go along.
        etl_args: its arguments.
        takes_results: its answer may be results in frames.
        body: its bytes, where no file is named.
        info: the value of its `Instore-Object` header, where no file is named; empty: it has none.
    """

    path: str
    fqn: str
    etl_args: str = ""
    takes_results: bool = False
    body: bytes = b""
    info: str = ""

    @property
    def request(self) -> ObjectRequest:
        """As it would have been asked for alone."""
        origin, length = (SourceKind.FILE, None) if self.fqn else (SourceKind.BODY, len(self.body))
        args = self.etl_args.strip()
        return ObjectRequest(self.path, origin, self.fqn, args, length=length, takes_results=self.takes_results)


def encode_group(objects: Sequence[GroupedObject]) -> bytes:
    """The request's body."""
    entries = [
        (one.path, one.fqn, one.etl_args, one.takes_results)
        if one.fqn
        else (one.path, len(one.body), one.etl_args, one.takes_results, one.info)
        for one in objects
    ]
    return b"".join([json.dumps(entries).encode(), b"\n", *[one.body for one in objects]])


def decode_group(body: bytes) -> Sequence[GroupedObject]:
    """The objects in a request's body."""
    line, _, behind = body.partition(b"\n")
    bodies = BytesIO(behind)
    try:
        objects = [_object(bodies, *entry) for entry in _entries(json.loads(line))]
        if left := len(behind) - bodies.tell():
            raise ValueError(f"{left} bytes are no object's")  # noqa: TRY301
    except RecursionError as error:
        raise InvalidRequestError("this is not a group of objects: nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"this is not a group of objects: {error}") from error
    return objects


def _entries(group: object) -> list[list[object]]:
    if not isinstance(group, list) or not 0 < len(group) <= MOST_OBJECTS:
        raise ValueError(f"it takes an array of 1 to {MOST_OBJECTS} objects")
    return group


def _object(
    bodies: BytesIO, path: object, source: object, etl_args: object, takes_results: object, info: object = ""
) -> GroupedObject:
    if not (isinstance(path, str) and path and isinstance(etl_args, str) and isinstance(info, str)):
        raise ValueError(_ENTRY)
    for text in (path, etl_args, info):
        text.encode("utf-8", "surrogateescape")  # half a surrogate pair that stands for no byte is no text
    if isinstance(source, str) and source:
        source.encode("utf-8", "surrogateescape")
        return GroupedObject(path, source, etl_args, bool(takes_results))
    if type(source) is not int or source < 0:
        raise ValueError(_ENTRY)
    body = bodies.read(source)
    if len(body) < source:
        raise ValueError(f"it ends {source - len(body)} bytes too early")
    return GroupedObject(path, "", etl_args, bool(takes_results), body, info)


def encode_answer(number: int, status: int, headers: Iterable[tuple[bytes, bytes]], size: int) -> bytes:
    """What stands before an answer's body of `size` bytes."""
    text = _encoded(tuple(headers))
    return _HEAD.pack(number, status, len(text), size) + text


def decode_head(data: bytes) -> AnswerHead:
    """The head in `HEAD_SIZE` bytes."""
    return AnswerHead(*_HEAD.unpack(data))


@lru_cache
def _encoded(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return json.dumps({name.decode("latin-1"): value.decode("latin-1") for name, value in headers}).encode()


@lru_cache
def decode_headers(text: bytes) -> Mapping[str, str]:
    """An answer's headers, lower-case names."""
    headers: Mapping[str, str] = json.loads(text)
    return headers
