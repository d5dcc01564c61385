"""The node as an application: who may ask, which handler answers, how errors are told.

One application serves the proxy's port and each target's.
"""

import asyncio
import functools
import hmac
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request as StarletteRequest

from instore.errors import ClientGoneError, ForbiddenOriginError, InstoreError, NotSupportedError, UnauthorizedError
from instore.http.asgi import ASGIMessages
from instore.http.request import Request
from instore.http.websocket import WebSocketSender
from instore.node.api import buckets as bucket_calls
from instore.node.api import cluster as cluster_calls
from instore.node.api import errors
from instore.node.api import objects as object_calls
from instore.node.cluster import Cluster
from instore.node.jobs import copy as bulk
from instore.node.jobs.registry import Jobs
from instore.node.listing import Listings
from instore.node.metrics import NodeMetrics
from instore.node.request import Handler, Node, NodeRequest
from instore.protocol.environment import AIS_AUTHN_TOKEN
from instore.protocol.headers import METRICS_PATH
from instore.store.names import Bucket
from instore.system.steps import in_task

logger = logging.getLogger("instore")

_OPEN = b"/v1/health"
_HOST = re.compile(r"(?:\[([0-9a-f:.%]+)\]|([^:\[\]]+))(?::\d*)?", re.IGNORECASE)

RESOURCES: dict[str, Handler] = {
    "health": cluster_calls.health,
    "daemon": cluster_calls.daemon,
    "reverse": cluster_calls.reverse,
    "cluster": cluster_calls.cluster,
    "buckets": bucket_calls.resource,
    "objects": object_calls.resource,
}

_ABSENT = {
    "etl": "this node has no ETL subsystem",
    "sort": "dsort is not supported",
    "ml": "getting objects in batches is not supported; read them one by one",
    "download": "downloads into a bucket are not supported",
    "tokens": "this node has no AuthN server",
    "users": "this node has no AuthN server",
    "roles": "this node has no AuthN server",
    "clusters": "this node has no AuthN server",
}


def make_node(cluster: Cluster) -> Node:
    """The node above `cluster`, without the ETL subsystem, which adds itself."""
    return Node(
        cluster,
        Jobs(cluster.folder.path, cluster.folder.targets),
        Listings(cluster),
        actions=dict(bucket_calls.ACTIONS),
        resources=dict(RESOURCES),
    )


class App:
    """The `Application` of a node."""

    def __init__(self, node: Node, ready: Callable[[], None]) -> None:
        self._node = node
        self._ready = ready
        self._metrics = NodeMetrics(node)
        self._token = node.cluster.token.encode()
        self._background: set[asyncio.Task[None]] = set()

    async def serve(self, request: Request) -> None:
        """Answer one request."""
        self._metrics.in_progress += 1
        try:
            for prefix, serve in self._node.raw.items():
                if request.target.startswith(prefix):
                    await serve(request)
                    return
            await in_task(self._answer(request))
        finally:
            self._metrics.in_progress -= 1
            self._metrics.ended(request)

    def websocket(self, request: Request, sender: WebSocketSender) -> str:  # noqa: ARG002
        """No WebSocket is served here."""
        return "no WebSocket is served here"

    async def _answer(self, incoming: Request) -> None:
        exchange = ASGIMessages(incoming)
        request = StarletteRequest(exchange.scope)
        try:
            if request.scope["raw_path"] != _OPEN:
                self._admit(request)
            answer = await self._handler(request)(NodeRequest(self._node, request, incoming))
            if hasattr(answer, "serve"):
                await answer.serve(incoming)
                return
        except ClientGoneError:
            return
        except Exception as error:
            if incoming.status:
                raise
            answer = errors.answer(request, error, cluster_calls.PROXY_ID)
        await answer(exchange.scope, exchange.receive, exchange.send)

    def _handler(self, request: StarletteRequest) -> Handler:
        if request.scope["path"] == METRICS_PATH and request.method in ("GET", "HEAD"):
            return self._metrics.answer
        _, version, resource, *_ = [*str(request.scope["path"]).split("/"), "", ""]
        handler = self._node.resources.get(resource) if version == "v1" else None
        if handler is None:
            reason = _ABSENT.get(resource, f"{request.scope['path']} is not part of the API that this node has")
            raise NotSupportedError(reason)
        return handler

    def _admit(self, request: StarletteRequest) -> None:
        """Let in who has the token; without one, who is no web page of elsewhere.

        A page in a browser on this machine can reach a port of it, and by a name of its own that it lets point here
        even as the same origin. So without a token a request must name the host as an address or as localhost, and
        come from no other origin.
        """
        if self._token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
                raise UnauthorizedError(f"this node demands its token; set {AIS_AUTHN_TOKEN} to it for the client")
            return
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if not _is_local_name(host):
            raise ForbiddenOriginError(
                f"host {host!r} is neither an address nor localhost; name the node by its address"
            )
        if origin is not None and origin.partition("://")[2] != host:
            raise ForbiddenOriginError(
                f"requests of web pages from {origin!r} are refused; start the node with a token"
            )

    async def start(self) -> None:
        """Called before the first request."""
        await self._start()
        self._ready()

    def tick(self, body_memory: int) -> None:
        """Called every now and then."""
        self._metrics.body_memory = body_memory

    def drain(self) -> None:
        """Called when the server is told to stop: requests under way are served, and jobs stopped in `stop`."""

    async def stop(self) -> None:
        """Called after the last request."""
        for stop in self._node.stopping:
            await stop()
        await self._node.jobs.close()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._node.cluster.close()

    async def _start(self) -> None:
        cluster = self._node.cluster
        for bucket in cluster.folder.buckets():
            source = cluster.folder.bucket(bucket).renamed_from
            if source:
                interrupted = self._node.jobs.interrupted("move-bck", bucket)
                bulk.finish_rename(self._node, Bucket(**source), bucket, interrupted)
        self._in_background(cluster.background(cluster.empty_trash))
        for start in self._node.starting:
            await start()

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except InstoreError as error:
        logger.warning("%s", error)


@functools.lru_cache(1024)
def _is_local_name(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1] or match[2]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
