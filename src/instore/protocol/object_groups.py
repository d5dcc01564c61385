"""Several small objects in one request, and their answers in one body (docs/protocol.md#objects-in-groups).

The request is a JSON array with `[path, fqn, etl_args, takes_results]` for each object. Each answer has a head, headers
as a JSON object, and a body, and comes when it is there, in any order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from instore.errors import InvalidRequestError
from instore.protocol.requests import ObjectRequest, SourceKind

MOST_OBJECTS = 64
"""Objects in a group at most."""

GROUP_TYPE = "application/vnd.instore.group"
"""Content type of a group's answers."""

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


def encode_group(objects: Iterable[tuple[str, str, str, bool]]) -> bytes:
    """The request's body, of each object's path, file, arguments, and whether its answer may be results in frames."""
    return json.dumps(list(objects)).encode()


def decode_group(body: bytes) -> Sequence[ObjectRequest]:
    """The objects in a request's body."""
    try:
        return [_object(*entry) for entry in _entries(json.loads(body))]
    except RecursionError as error:
        raise InvalidRequestError("this is not a group of objects: nested too deeply") from error
    except (ValueError, TypeError) as error:
        raise InvalidRequestError(f"this is not a group of objects: {error}") from error


def _entries(group: object) -> list[list[object]]:
    if not isinstance(group, list) or not 0 < len(group) <= MOST_OBJECTS:
        raise ValueError(f"it takes an array of 1 to {MOST_OBJECTS} objects")
    return group


def _object(path: object, fqn: object, etl_args: object, takes_results: object) -> ObjectRequest:
    if not (isinstance(path, str) and isinstance(fqn, str) and isinstance(etl_args, str) and path and fqn):
        raise ValueError("an object takes a path, a file and arguments")
    for text in (path, fqn, etl_args):
        text.encode("utf-8", "surrogateescape")  # half a surrogate pair that stands for no byte is no text
    return ObjectRequest(path, SourceKind.FILE, fqn, etl_args.strip(), takes_results=bool(takes_results))


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
