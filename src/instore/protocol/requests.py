"""One object's request, read from an HTTP request line and its headers (docs/protocol.md#requests)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from instore.errors import InvalidPipelineError, InvalidRequestError
from instore.protocol.headers import (
    DOWNLOAD_PATH,
    NODE_URL,
    QUERY_ARGS,
    QUERY_FQN,
    QUERY_OBJECT_TO,
    QUERY_ORIGINAL_URL,
    RESULTS,
)
from instore.protocol.names import escape_fqn, escape_path, escape_query, escape_segment, unescape, unescape_query
from instore.protocol.pipeline import destination_of, parse_pipeline

_NODE_URL = NODE_URL.lower().encode()
_RESULTS = RESULTS.lower().encode()
_FQN, _ARGS = f"{QUERY_FQN}=", f"{QUERY_ARGS}="
_LONGEST_LENGTH = 18  # digits; no body is as long as 2**63 bytes


class SourceKind(StrEnum):
    """Where an object's bytes come from."""

    BODY = "body"
    FILE = "file"
    TARGET = "target"
    URL = "url"


@dataclass(slots=True)
class ObjectRequest:
    """A request for one object. Nobody changes it; a frozen class costs each small object two microseconds.

    Attributes:
        path: the object's path or uname, decoded, without the leading slash.
        origin: where its bytes come from.
        fqn: the local file's path for `SourceKind.FILE`, else empty.
        url: where the bytes are for `SourceKind.URL`, else empty.
        raw_path: the path as it came, still escaped, with its slash; empty where there was none. Requests that differ
            in nothing else are equal.
        etl_args: the per-request arguments, decoded and stripped; may be empty.
        next_url: the pipeline's first entry; empty when the result is the answer.
        pipeline: the rest of the pipeline.
        length: the announced length of the body in bytes; None when it was not announced, or the body is chunked.
        takes_results: the answer may be several results, or one with a name or metadata.
    """

    path: str
    origin: SourceKind
    fqn: str = ""
    etl_args: str = ""
    next_url: str = ""
    pipeline: str = ""
    length: int | None = None
    url: str = ""
    raw_path: str = field(default="", compare=False)
    takes_results: bool = False


def object_target(path: str, fqn: str = "", etl_args: str = "") -> str:
    """Path and query of a request for one object, escaped."""
    return _with_query(f"/{escape_path(path)}", fqn, etl_args)


def pull_target(uname: str, etl_args: str = "") -> str:
    """Path and query of a request whose object the ETL server fetches from the target by its uname."""
    return _with_query(f"/{escape_segment(uname)}", "", etl_args)


def _with_query(path: str, fqn: str, etl_args: str) -> str:
    pairs = [f"{QUERY_FQN}={escape_fqn(fqn)}"] if fqn else []
    if etl_args:
        pairs.append(f"{QUERY_ARGS}={escape_query(etl_args)}")
    return path + (f"?{'&'.join(pairs)}" if pairs else "")


_ORIGINS = {"PUT": SourceKind.BODY, "GET": SourceKind.TARGET}
_BODY, _FILE = SourceKind.BODY, SourceKind.FILE  # before Python 3.12, to look a member up costs half a microsecond
METHODS = tuple(_ORIGINS)


def parse_request(method: str, raw_path: str, query: str, headers: Iterable[tuple[bytes, bytes]]) -> ObjectRequest:
    """Read a request for one object."""
    path = unescape(raw_path[1:] if raw_path.startswith("/") else raw_path)
    if not path:
        raise InvalidRequestError(f"{method} {raw_path}: no object is named; expected /<bucket>/<object>")
    if "?" in query:
        rest, query = _split_name(query)
        path += unescape(rest)
        raw_path += rest
    etl_args = fqn = ""
    if query:
        values = _parse_query(query)
        etl_args = _args(values)
        fqn = unescape(values.get(QUERY_FQN, ""))
    next_url, pipeline, length, takes_results = _parse_headers(headers)
    origin = _FILE if fqn else _ORIGINS[method]
    if length == 0 and next_url and origin is _BODY:
        _check_name_arrived(destination_of(next_url, pipeline))
    return ObjectRequest(
        path, origin, fqn, etl_args, next_url, pipeline, length, raw_path=raw_path, takes_results=takes_results
    )


def _split_name(query: str) -> tuple[str, str]:
    """What of an object's name has come as a query, and the query itself.

    AIStore puts names unescaped into paths under hpush, so that the file of `a?b` comes as `/bucket/a?b?etl_fqn=…`.
    """
    rest, _, behind = query.rpartition("?")
    named = any(pair.startswith(_FQN) for pair in behind.split("&"))
    is_query = any(pair.startswith((_FQN, _ARGS)) for pair in rest.split("&"))
    return (f"?{rest}", behind) if named and not is_query else ("", query)


def _check_name_arrived(uname: str) -> None:
    """Refuse an empty body for an object whose name AIStore has cut off, with its query, under hpush.

    What the transform made of nothing would be stored as the result.
    """
    cut = next((sign for sign in uname.split("/", 3)[-1] if sign in "#?"), "")
    if cut:
        raise InvalidRequestError(
            f"{uname!r} has come without its bytes and its file: AIStore cuts a name off at {cut!r} under hpush; "
            "use hpull or ws for such names, or rename the object"
        )


def parse_download(query: str, headers: Iterable[tuple[bytes, bytes]]) -> ObjectRequest:
    """Read a request for the object at a URL, `POST /download?original_url=...&object_to=...`."""
    values = _parse_query(query)
    for name in (QUERY_ORIGINAL_URL, QUERY_OBJECT_TO):
        if not values.get(name):
            raise InvalidRequestError(
                f"no {name}; expected POST {DOWNLOAD_PATH}?{QUERY_ORIGINAL_URL}=<url>&{QUERY_OBJECT_TO}=<name>"
            )
    next_url, pipeline, _, _ = _parse_headers(headers)
    return ObjectRequest(
        path=values[QUERY_OBJECT_TO].removeprefix("/"),
        origin=SourceKind.URL,
        etl_args=_args(values),
        next_url=next_url,
        pipeline=pipeline,
        url=values[QUERY_ORIGINAL_URL],
    )


def _parse_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str, int | None, bool]:
    """The pipeline's first URL, the rest of it, the length of the body, and whether results in frames are taken."""
    nodes: list[bytes] = []
    length, chunked, takes_results = None, False, False
    for name, value in headers:
        if name == _NODE_URL:
            nodes.append(value)
        elif name == b"content-length":
            length = _parse_length(value)
        elif name == b"transfer-encoding":
            chunked = True
        elif name == _RESULTS:
            takes_results = True
    next_url, pipeline = parse_pipeline(_decode_nodes(nodes)) if nodes else ("", "")
    return next_url, pipeline, None if chunked else length, takes_results


def _parse_query(query: str) -> dict[str, str]:
    """The values, decoded once; of a repeated one the first, as Go reads it."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(unescape_query(name), unescape_query(value))
    return values


def _args(values: Mapping[str, str]) -> str:
    return values.get(QUERY_ARGS, "").strip()


def _decode_nodes(nodes: list[bytes]) -> str:
    """A header that is repeated is one list (RFC 9110, 5.3)."""
    header = b",".join(nodes)
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise InvalidPipelineError(f"the pipeline {header!r} is not UTF-8") from error


def _parse_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _LONGEST_LENGTH:
        raise InvalidRequestError(f"Content-Length {value[:80].decode('latin-1')!r} is not the length of a body")
    return int(value)
