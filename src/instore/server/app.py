"""The ETL server as an ASGI 3 application: one service, and the handlers in front of it."""

import logging
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

from instore.server.contract import Transform
from instore.server.exchange import Service
from instore.server.http import HTTPHandler, Send
from instore.server.process import set_up_process
from instore.server.sources import Receive
from instore.server.websocket import WebSocketHandler

logger = logging.getLogger("instore")


class ETLApplication:
    """An ASGI application around one transform.

    Args:
        server: the user's object.

    Attributes:
        state: whatever users keep with the application; `state.etl_server` is their object.
        settings: the process's.
        watchdog: says what is done when transforms that never end hold all threads.

    Raises:
        ConfigurationError: the environment is unfit (docs/protocol.md#environment).
    """

    def __init__(self, server: Transform) -> None:
        self.state = SimpleNamespace(etl_server=server)
        self._service = Service(server)
        self.watchdog = self._service.watchdog
        self.settings = self._service.environment
        self._http = HTTPHandler(self._service)
        self._websocket = WebSocketHandler(self._service)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI connection.

        Raises:
            BrokenAnswerError: an answer that has begun can't be completed; the ASGI server breaks its framing.
        """
        match scope["type"]:
            case "http":
                await self._http.serve(scope, receive, send)
            case "websocket":
                await self._websocket.serve(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            set_up_process()
            await send({"type": "lifespan.startup.complete"})
            logger.info("%s is ready", type(self._service.server).__name__)
        await self._service.close()
        await send({"type": "lifespan.shutdown.complete"})
