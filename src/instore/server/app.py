"""The ETL server: one service, and the handlers in front of it; on our own edge, or as an ASGI 3 application."""

import logging
from types import SimpleNamespace

from instore.http.request import Request
from instore.http.websocket import WebSocketReceiver, WebSocketSender
from instore.server.asgi import ASGIRequest, DisconnectWatcher, Receive, Scope, Send, serve_websocket
from instore.server.contract import Transform
from instore.server.exchange import Service
from instore.server.http import HTTPHandler
from instore.server.process import set_up_process
from instore.server.websocket import WebSocketHandler

logger = logging.getLogger("instore")


class ETLApplication:
    """What serves one transform: an `Application` for our own server, and an ASGI application for others.

    Args:
        server: the user's object.

    Attributes:
        state: whatever users keep with the application; `state.etl_server` is their object.
        settings: the process's.
        counters: what is counted of its objects.
        watchdog: says what is done when transforms that never end hold all threads.

    Raises:
        ConfigurationError: the environment is unfit (docs/protocol.md#environment).
    """

    def __init__(self, server: Transform) -> None:
        self.state = SimpleNamespace(etl_server=server)
        self._service = Service(server)
        self.counters = self._service.counters
        self.watchdog = self._service.watchdog
        self.settings = self._service.environment
        self._http = HTTPHandler(self._service)
        self._websocket = WebSocketHandler(self._service)
        self._watcher = DisconnectWatcher()
        self.serve = self._http.serve

    async def start(self) -> None:
        """Called before the first request."""
        set_up_process()
        logger.info("%s is ready", type(self._service.server).__name__)

    def websocket(self, request: Request, sender: WebSocketSender) -> WebSocketReceiver | str:
        """Take a WebSocket connection, or say why not."""
        return self._websocket.connect(request.target.partition(b"?")[0].decode(errors="replace"), sender)

    def tick(self, body_memory: int) -> None:
        """Called every now and then."""
        self._service.publish(body_memory)

    def drain(self) -> None:
        """Called when the server is told to stop."""
        self._http.stopping = True

    async def stop(self) -> None:
        """Called after the last request."""
        await self._service.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        match scope["type"]:
            case "http":
                await self.serve(ASGIRequest(scope, receive, send, self.settings.timeout, self._watcher))
            case "websocket":
                path = scope["path"]
                await serve_websocket(
                    receive, send, self.settings.timeout, lambda sender: self._websocket.connect(path, sender)
                )
            case "lifespan":
                await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await self.start()
            await send({"type": "lifespan.startup.complete"})
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})
