"""WebSocket control messages: a request for one object on a connection (docs/protocol.md#websocket)."""

import json

from instore.errors import MalformedControlError
from instore.protocol.names import escape_segment, unescape
from instore.protocol.pipeline import parse_pipeline
from instore.protocol.requests import ObjectRequest, SourceKind
from instore.protocol.values import parse_json

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_PROTOCOL = 1002
CLOSE_INVALID_DATA = 1007
CLOSE_POLICY = 1008
CLOSE_TOO_LARGE = 1009
CLOSE_FAILED = 1011
CLOSE_OVERLOADED = 1013
REASON_LIMIT = 123
"""Bytes of a close frame's reason at most (RFC 6455, 5.5)."""

_FIELDS = ("path", "fqn", "etl_args", "pipeline")
_BODY, _FILE = SourceKind.BODY, SourceKind.FILE  # as in `requests`
_EXCERPT = 80


def parse_control(message: bytes) -> ObjectRequest:
    """Read a control message: `{"path": ..., "fqn": ..., "etl_args": ..., "pipeline": ...}`, absent when empty."""
    fields = _fields(message)
    fqn = unescape(fields["fqn"])
    next_url, pipeline = parse_pipeline(fields["pipeline"])
    return ObjectRequest(
        path=fields["path"].removeprefix("/"),
        origin=_FILE if fqn else _BODY,
        fqn=fqn,
        etl_args=fields["etl_args"].strip(),
        next_url=next_url,
        pipeline=pipeline,
    )


def write_control(path: str, fqn: str = "", etl_args: str = "", pipeline: str = "") -> bytes:
    """A control message; what is empty is left out."""
    fields = {"path": path, "fqn": escape_segment(fqn), "etl_args": etl_args, "pipeline": pipeline}
    return json.dumps({name: value for name, value in fields.items() if value}).encode()


def _fields(message: bytes) -> dict[str, str]:
    try:
        content = parse_json(message)
    except ValueError as error:
        raise MalformedControlError(CLOSE_INVALID_DATA, f"not JSON: {message[:_EXCERPT]!r}") from error
    if not isinstance(content, dict):
        raise MalformedControlError(CLOSE_POLICY, f"not a JSON object: {message[:_EXCERPT]!r}")
    fields = {name: content.get(name) or "" for name in _FIELDS}
    for name, value in fields.items():
        if not isinstance(value, str):
            raise MalformedControlError(CLOSE_POLICY, f"{name} is not text: {message[:_EXCERPT]!r}")
    return fields


def close_reason(sentence: str) -> str:
    """`sentence` cut to what a close frame can hold."""
    return sentence.encode(errors="replace")[:REASON_LIMIT].decode(errors="ignore")
