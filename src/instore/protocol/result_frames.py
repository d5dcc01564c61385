"""Results in one body, one behind the other, each with its name and metadata (docs/protocol.md#results-in-frames).

A frame is the length of its head, four bytes with the highest first; the head, a JSON object; and the result's bytes,
as many as the head says. A length of 0 is the end, so that a body that was cut off is never taken for a whole one.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

PREFIX_SIZE = 4
"""Bytes of a head's length."""

END = bytes(PREFIX_SIZE)
"""What stands behind the last result."""

_LONGEST_HEAD = 1 << 20


class ResultHead(NamedTuple):
    """What is said of a result before its bytes.

    Attributes:
        name: its own; empty: that of its object's result.
        content_type: its own, or its class's.
        metadata: its own.
        size: its bytes.
        is_only: no other of its object can be beside it; that of another object may well be bytes without a head.
    """

    name: str
    content_type: str
    metadata: Mapping[str, str]
    size: int
    is_only: bool


def encode_head(head: ResultHead) -> bytes:
    """What stands before a result's bytes."""
    text = json.dumps({**head._asdict(), "metadata": dict(head.metadata)}).encode()
    return len(text).to_bytes(PREFIX_SIZE, "big") + text


def head_length(prefix: bytes) -> int:
    """The length of the head behind `prefix`; 0: there is none, and all results have come.

    Raises:
        ValueError: no head is that long.
    """
    length = int.from_bytes(prefix, "big")
    if length > _LONGEST_HEAD:
        raise ValueError(f"a head of {length} bytes")
    return length


def decode_head(text: bytes) -> ResultHead:
    """The head in `text`.

    Raises:
        ValueError: it is none.
    """
    head = json.loads(text)
    if not isinstance(head, dict) or head.keys() != set(ResultHead._fields):
        raise ValueError(f"a head with {head!r:.200}")
    name, content_type, metadata, size, is_only = (head[field] for field in ResultHead._fields)
    is_text = all(isinstance(one, str) for one in (name, content_type))
    has_texts = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not is_text or not has_texts or not isinstance(size, int) or size < 0:
        raise ValueError(f"a head with {head!r:.200}")
    return ResultHead(name, content_type, metadata, size, bool(is_only))


def split_results(body: bytes) -> Iterator[tuple[ResultHead, bytes]]:
    """The results in a body that is at hand.

    Raises:
        ValueError: it is none of results, or not whole.
    """
    start = 0
    while length := head_length(_exactly(body, start, PREFIX_SIZE)):
        start += PREFIX_SIZE
        head = decode_head(_exactly(body, start, length))
        start += length
        yield head, _exactly(body, start, head.size)
        start += head.size
    if start + PREFIX_SIZE != len(body):
        raise ValueError("bytes behind the end")


def _exactly(body: bytes, start: int, size: int) -> bytes:
    piece = body[start : start + size]
    if len(piece) < size:
        raise ValueError("the results end too early")
    return piece
