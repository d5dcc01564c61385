"""The ETL server: one service, and the handlers in front of it; on our own edge, or as an ASGI 3 application."""

import logging
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from instore.errors import ArgumentsError, ConfigurationError
from instore.http.request import Request
from instore.http.websocket import WebSocketReceiver, WebSocketSender
from instore.server.asgi import ASGIRequest, DisconnectWatcher, Receive, Scope, Send, serve_websocket
from instore.server.contract import Transform
from instore.server.exchange import Service
from instore.server.http import HTTPHandler
from instore.server.process import set_up_process
from instore.server.websocket import WebSocketHandler
from instore.system.printable import say

logger = logging.getLogger("instore")


class ETLApplication:
    """What serves one transform: an `Application` for our own server, and an ASGI application for others.

    Args:
        transform: the user's object, as the server sees it.

    Attributes:
        state: whatever users keep with the application; `state.etl_server` is their object.
        settings: the process's.
        counters: what is counted of its objects.
        watchdog: says what is done when transforms that never end hold all threads.

    Raises:
        ConfigurationError: the environment is unfit (docs/protocol.md#environment).
    """

    def __init__(self, transform: Transform) -> None:
        self.state = SimpleNamespace(etl_server=transform.server)
        self._transform = transform
        self._is_warm = False
        self._service = Service(transform)
        self.counters = self._service.counters
        self.watchdog = self._service.watchdog
        self.settings = self._service.environment
        self._http = HTTPHandler(self._service)
        self._websocket = WebSocketHandler(self._service)
        self._watcher = DisconnectWatcher()
        self.serve = self._http.serve

    def warm_up(self) -> None:
        """Have the user's object make ready, once.

        Raises:
            ConfigurationError: it failed.
        """
        if self._is_warm:
            return
        try:
            self._transform.warm_up()
        except Exception as error:
            logger.exception("%s.warm_up() failed", self._transform.name)
            raise ConfigurationError(f"{self._transform.name}.warm_up() failed: {say(error)}") from error
        self._is_warm = True

    def check_args(self, text: str) -> None:
        """Refuse arguments that every request will have.

        Raises:
            ConfigurationError: the class does not take them.
        """
        try:
            self._transform.decode_args(text)
        except ArgumentsError as error:
            raise ConfigurationError(str(error)) from error

    async def start(self) -> None:
        """Called before the first request."""
        set_up_process()
        self.counters.start()
        self.warm_up()
        logger.info("%s is ready", self._transform.name)

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
                request = ASGIRequest(scope, receive, send, self.settings.timeout, self._watcher)
                await cast(Coroutine[Any, Any, None], self.serve(request))  # which is never ready
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
