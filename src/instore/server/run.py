"""uvicorn around one transform, on a socket that is bound already."""

import socket

from instore.http.server import serve
from instore.webserver.base_etl_server import ETLServer

_GRACE = 25  # seconds for requests under way; Kubernetes gives 30 in all


def run(server: ETLServer, listener: socket.socket) -> None:
    """Serve `server` until a signal says stop; then return, when the requests under way are over.

    Args:
        server: the user's object.
        listener: bound socket.
    """
    serve(
        server.asgi_app,
        [listener],
        _GRACE,
        ws="websockets-sansio",
        ws_max_size=server.environment.max_message,
        ws_ping_interval=None,  # a client that waits for its answers need not read, nor answer pings
        ws_per_message_deflate=False,
    )
