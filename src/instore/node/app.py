"""The node as an application: who may ask, which handler answers, how errors are told.

One application serves the proxy's port and each target's.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request as StarletteRequest

from instore.errors import ClientGoneError, NotSupportedError
from instore.http.asgi import ASGIMessages
from instore.http.request import Request
from instore.http.websocket import WebSocketSender
from instore.node.access import Access
from instore.node.api import buckets as bucket_calls
from instore.node.api import cluster as cluster_calls
from instore.node.api import errors
from instore.node.api import objects as object_calls
from instore.node.cluster import Cluster
from instore.node.jobs import copy as bulk
from instore.node.jobs.registry import Jobs
from instore.node.listing import Listings
from instore.node.metrics import NodeMetrics
from instore.node.promotable import PromotableFolder
from instore.node.request import Answer, Handler, Node, NodeRequest, segments
from instore.protocol.headers import METRICS_PATH
from instore.store.names import Bucket
from instore.system.steps import in_task
from instore.ui.page import PATH, WebPage, is_of_page

_OPEN = b"/v1/health"
_ASK = f"{PATH}/ask"

RESOURCES: dict[str, Handler] = {
    "health": cluster_calls.health,
    "daemon": cluster_calls.daemon,
    "reverse": cluster_calls.reverse,
    "cluster": cluster_calls.cluster,
    "buckets": bucket_calls.resource,
    "download": cluster_calls.downloads,
    "sort": cluster_calls.sorts,
    "objects": object_calls.resource,
}

_ABSENT = {
    "etl": "this node has no ETL subsystem",
    "ml": "getting objects in batches is not supported; read them one by one",
    "tokens": "this node has no AuthN server",
    "users": "this node has no AuthN server",
    "roles": "this node has no AuthN server",
    "clusters": "this node has no AuthN server",
}


def make_node(cluster: Cluster, promotable: PromotableFolder) -> Node:
    """The node above `cluster`, without the ETL subsystem, which adds itself."""
    return Node(
        cluster,
        Jobs(cluster.folder.path, cluster.folder.targets),
        Listings(cluster),
        promotable,
        actions=dict(bucket_calls.ACTIONS),
        resources=dict(RESOURCES),
    )


class App:
    """The `Application` of a node."""

    def __init__(self, node: Node, ready: Callable[[], None]) -> None:
        self._node = node
        self._ready = ready
        self._access = Access(node.cluster.token)
        self._page = WebPage("node.html")
        self._metrics = NodeMetrics(node)

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
        request = StarletteRequest(_as_asked(exchange.scope))
        try:
            if request.scope["raw_path"] != _OPEN:
                self._access.admit(request)
            answer = await self._handler(request)(NodeRequest(self._node, request, incoming))
            if hasattr(answer, "serve"):
                await answer.serve(incoming)
                return
        except ClientGoneError:
            return
        except Exception as error:
            if incoming.status:
                raise
            answer = errors.answer(request, error, cluster_calls.PROXY_ID, self._node.cluster.strict)
        await answer(exchange.scope, exchange.receive, exchange.send)

    async def _serve_page(self, _request: NodeRequest) -> Answer:
        return self._page

    def _handler(self, request: StarletteRequest) -> Handler:
        if request.scope["path"] == METRICS_PATH and request.method in ("GET", "HEAD"):
            return self._metrics.answer
        if is_of_page(str(request.scope["path"])):
            return self._serve_page
        resource, *_ = [*segments(str(request.scope["path"])), ""]
        handler = self._node.resources.get(resource)
        if handler is None:
            reason = _ABSENT.get(resource, f"{request.scope['path']} is not part of the API that this node has")
            raise NotSupportedError(reason)
        return handler

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
        self._node.cluster.close()

    async def _start(self) -> None:
        cluster = self._node.cluster
        for bucket in cluster.folder.buckets():
            source = cluster.folder.bucket(bucket).renamed_from
            if source:
                interrupted = self._node.jobs.interrupted("move-bck", bucket)
                bulk.finish_rename(self._node, Bucket(**source), bucket, interrupted)
        cluster.empty_trash()
        for start in self._node.starting:
            await start()


def _as_asked(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request: the page in a browser, whose GETs can have no body, has it POST `/ui/ask/v1/…`."""
    path, raw_path = scope["path"], scope["raw_path"]
    if scope["method"] != "POST" or not raw_path.startswith(f"{_ASK}/v1/".encode()):
        return scope
    return {**scope, "method": "GET", "path": path.removeprefix(_ASK), "raw_path": raw_path.removeprefix(_ASK.encode())}
