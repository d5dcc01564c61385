"""uvicorn around one transform, on a socket that is bound already."""

import logging
import socket

from instore.http.server import bind, serve
from instore.server.app import ETLApplication
from instore.system.addresses import http_url

_GRACE = 25  # seconds for requests under way; Kubernetes gives 30 in all


def listen_and_run(name: str, application: ETLApplication, host: str, port: int) -> None:
    """Bind, say where, and `run`.

    Raises:
        ConfigurationError: the address can't be had.
    """
    listener = bind(host, port)
    logging.getLogger(name).info("%s on %s", name, http_url(*listener.getsockname()[:2]))
    run(application, listener)


def run(application: ETLApplication, listener: socket.socket) -> None:
    """Serve `application` until a signal says stop; then return, when the requests under way are over.

    Args:
        application: around one transform.
        listener: bound socket.
    """
    serve(
        application,
        [listener],
        _GRACE,
        ws="websockets-sansio",
        ws_max_size=application.settings.max_message,
        ws_ping_interval=None,  # a client that waits for its answers need not read, nor answer pings
        ws_per_message_deflate=False,
    )
