"""Pipelines and direct-put URLs: where a result goes next (docs/protocol.md#pipelines-and-direct-put).

A pipeline is a comma-separated list of URLs. An entry without a path is another ETL server, an entry with a
path is the destination at a target. The two differ in the URL that is built and in what their answers mean.
"""

import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from urllib.parse import urlsplit

from instore.errors import InvalidPipelineError
from instore.protocol.headers import QUERY_ARGS
from instore.protocol.names import escape_path, escape_query, escape_segment, has_user, unescape, unescape_query

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Hop(Enum):
    """What stands at the other end of a pipeline entry."""

    ETL = "etl server"
    TARGET = "target"


def hop_of(url: str) -> Hop:
    """The kind of the entry `url`: with a path it is a target, without one (or with only `/`) an ETL server."""
    return Hop.ETL if _split(url)[1] in ("", "/") else Hop.TARGET


def parse_pipeline(header: str | None) -> tuple[str, str]:
    """Split a pipeline into its first URL and the rest."""
    header = (header or "").strip()
    if not header:
        return "", ""
    entries = header.split(",")
    if any(has_user(entry) for entry in entries):
        raise InvalidPipelineError("the pipeline holds a user's name or password, which are not sent; leave them out")
    for entry in entries:
        if not entry.strip():
            raise InvalidPipelineError(f"the pipeline {header!r} has an empty entry; give URLs with one comma between")
        if _CONTROL.search(entry.strip(" \t")):  # would break the header that carries the rest
            raise InvalidPipelineError(f"the pipeline {header!r} holds a control character")
    first, _, rest = header.partition(",")
    return first.strip(), rest.strip()


def ends_at_target(first: str, rest: str) -> bool:
    """Whether the last entry of a pipeline, as `parse_pipeline` split it, is a destination at a target."""
    last = (rest or first).rpartition(",")[2].strip()
    return bool(last) and hop_of(last) is Hop.TARGET


def destination_of(first: str, rest: str) -> str:
    """The uname of the object that a pipeline, as `parse_pipeline` split it, ends at; empty: at none."""
    last = (rest or first).rpartition(",")[2].strip()
    return unescape(urlsplit(last).path.rpartition("/")[2]) if last and hop_of(last) is Hop.TARGET else ""


def join_pipeline(servers: Iterable[str], destination: str = "") -> str:
    """A pipeline's header: the base URLs of ETL servers in order, and the destination's entry if there is one."""
    return ",".join([*servers, destination] if destination else servers)


def destination_entry(target_url: str, uname: str, query: str = "") -> str:
    """The last entry of a pipeline that ends at a target: `http://HOST:PORT/<uname, escaped>?uuid=<job>&...`."""
    parts = urlsplit(target_url)
    return f"{parts.scheme}://{parts.netloc}/{escape_segment(uname)}" + (f"?{query}" if query else "")


def direct_put_url(url: str, host_target: str, obj_path: str, etl_args: str = "") -> str:
    """Build the URL that the result is put to."""
    host, path, query = _split(url)
    target = urlsplit(host_target)
    path = escape_path(obj_path) if path in ("", "/") else target.path.rstrip("/") + path
    if etl_args:
        query = _replace_args(query, etl_args)
    separator = "" if path.startswith("/") or not path else "/"
    return f"{target.scheme}://{host}{separator}{path}" + (f"?{query}" if query else "")


@lru_cache(maxsize=1024)
def _split(url: str) -> tuple[str, str, str]:
    """Host with port, path, query; kept, since an object's next hop is looked at more than once on its way."""
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise InvalidPipelineError(f"the pipeline entry {url!r} is not a URL: {error}") from error
    if parts.scheme not in ("", "http", "https"):
        raise InvalidPipelineError(f"the pipeline entry {url!r} is not http or https")
    if not complete:
        raise InvalidPipelineError(f"the pipeline entry {url!r} names no host; expected http://HOST:PORT[/PATH]")
    return parts.netloc, parts.path, parts.query


def _replace_args(query: str, etl_args: str) -> str:
    kept = [pair for pair in query.split("&") if pair and unescape_query(pair.partition("=")[0]) != QUERY_ARGS]
    return "&".join([*kept, f"{QUERY_ARGS}={escape_query(etl_args)}"])
