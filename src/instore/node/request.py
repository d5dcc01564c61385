"""A request as the node's handlers see it, and the tables in which they stand."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from instore.errors import InvalidRequestError
from instore.http.request import Request as IncomingRequest
from instore.node.cluster import Cluster
from instore.node.jobs.registry import Jobs
from instore.node.listing import Listings
from instore.node.promotable import PromotableFolder
from instore.protocol.names import unescape
from instore.protocol.values import parse_flag, parse_json
from instore.store.names import Bucket, check_object_name
from instore.system.logs import RecentLog

PAGE_HEADER = "instore-page"
"""What the page in a browser sends with each request, and no page of elsewhere can."""
_LARGEST_MESSAGE = 64 << 20  # bytes; a list of a million names


class InlineTransforms(Protocol):
    """What the ETL subsystem does for requests about objects. Without it they answer 501."""

    async def read(self, request: "NodeRequest", bucket: Bucket, name: str) -> "Answer":
        """Answer a GET with `etl_name`."""

    async def copy(
        self, request: "NodeRequest", bucket: Bucket, name: str, to_bucket: Bucket, to_name: str
    ) -> "Answer":
        """Answer a PUT with `object_to` and `etl_name`."""


class NodeRequest:
    """One request.

    Attributes:
        node: what all handlers share.
        request: Starlette's.
        incoming: the server's own.
        segments: the path's parts, see `segments`.
    """

    def __init__(self, node: "Node", request: Request, incoming: IncomingRequest) -> None:
        self.node = node
        self.request = request
        self.incoming = incoming
        raw: bytes = request.scope["raw_path"]
        self.segments = segments(raw.decode("utf-8", "surrogateescape"))

    @property
    def method(self) -> str:
        """`GET` and so on."""
        return self.request.method

    @property
    def from_page(self) -> bool:
        """Whether the page in a browser asks, which follows no redirect to another port."""
        return PAGE_HEADER in self.request.headers

    def query(self, name: str) -> str:
        """A query parameter; empty if it is not there."""
        return self.request.query_params.get(name, "")

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return parse_flag(self.query(name)) is True

    async def body(self) -> bytes:
        """The whole body of a request that carries a message, not an object."""
        data = bytearray()
        while piece := await self.incoming.read():
            data += piece
            if len(data) > _LARGEST_MESSAGE:
                raise InvalidRequestError(f"the message is larger than {_LARGEST_MESSAGE} bytes")
        return bytes(data)

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty if there is none."""
        data = await self.body()
        try:
            message = parse_json(data) if data.strip() else {}
        except ValueError as error:
            raise InvalidRequestError(f"the body is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise InvalidRequestError("the body is JSON, but not an object")
        return message

    async def action(self) -> tuple[str, dict[str, Any]]:
        """The body as an action and its value (an object; empty if there is none)."""
        message = await self.json()
        action, value = message.get("action") or "", message.get("value")
        if not isinstance(action, str):
            raise InvalidRequestError(f"the action is {action!r}, not a string")
        return action, value if isinstance(value, dict) else {} if value is None else {"": value}

    def bucket(self) -> Bucket:
        """The bucket that the path names, whether it is there or not."""
        if len(self.segments) < 2 or not self.segments[1]:
            raise InvalidRequestError("the path names no bucket")
        return Bucket.parse(self.query("provider"), self.query("namespace"), self.segments[1])

    def object(self) -> tuple[Bucket, str]:
        """Bucket and object that the path names."""
        name = "/".join(self.segments[2:])
        check_object_name(name)
        return self.bucket(), name


def segments(path: str) -> list[str]:
    """The parts of a path of the API, decoded, without its version: the resource comes first; empty: it is none.

    A path without a version, `/ais/<bucket>/<object>`, stands for one with it.
    """
    _, first, *parts = [*path.split("/"), ""]
    if first == "v1":
        parts.pop()
    elif first == "ais":
        parts = ["objects" if any(parts[1:]) else "buckets", *parts[:-1]]
    else:
        return []
    return [unescape(part) for part in parts]


class NativeAnswer(Protocol):
    """An answer that is sent piece by piece."""

    async def serve(self, request: IncomingRequest) -> None:
        """Send it."""


Answer = ASGIApp | NativeAnswer
Handler = Callable[[NodeRequest], Awaitable[Answer]]
Action = Callable[[NodeRequest, Bucket, dict[str, Any]], Awaitable[Answer]]


@dataclass
class Node:
    """What all handlers share, and where a subsystem adds its own.

    Attributes:
        cluster, jobs, listings: the state.
        promotable: the folder whose files may become objects.
        log: what the node has logged lately.
        actions: what a message to `/v1/buckets/<bucket>` may ask for, by method and action.
        raw: what answers, by the beginning of the path, before everything else, the token's check included.
        resources: handlers by the path's first part after `/v1/`.
        transforms: the ETL subsystem; None: there is none.
        etl_totals: of each ETL, the objects that it has transformed, and the bytes of its results.
        starting, stopping: are awaited when the node starts, before the first request, and when it stops.
    """

    cluster: Cluster
    jobs: Jobs
    listings: Listings
    promotable: PromotableFolder
    log: RecentLog = field(default_factory=RecentLog)
    actions: dict[tuple[str, str], Action] = field(default_factory=dict)
    raw: dict[bytes, Callable[[IncomingRequest], Awaitable[None]]] = field(default_factory=dict)
    resources: dict[str, Handler] = field(default_factory=dict)
    transforms: InlineTransforms | None = None
    etl_totals: Callable[[], dict[str, tuple[int, int]]] = dict
    starting: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    stopping: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def text(value: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of plain text, such as a job's id."""
    return Response(value, status, headers, "text/plain")


def empty(status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer without a body."""
    return Response(status_code=status, headers=headers)


def as_json(value: object, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(json.dumps(value), status, media_type="application/json")
