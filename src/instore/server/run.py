"""One transform on a socket that is bound already."""

import logging
import os
import socket

from instore.http.limits import Limits
from instore.http.server import bind, serve
from instore.server.app import ETLApplication
from instore.server.certificates import server_context
from instore.system.addresses import url_of


def listen_and_run(name: str, application: ETLApplication, host: str, port: int) -> None:
    """Bind, say where, and `run`."""
    listener = bind(host, port)
    host, port = listener.getsockname()[:2]
    logging.getLogger(name).info("%s on %s", name, url_of(host, port, bool(application.settings.tls)))
    run(application, listener)


def run(application: ETLApplication, listener: socket.socket, orders: socket.socket | None = None) -> None:
    """Serve `application` until a signal says stop; then return, when the requests under way are over.

    Args:
        application: what answers.
        listener: a bound socket.
        orders: on which whoever started this process says whose connections it takes besides.
    """
    settings = application.settings
    limits = Limits.read(os.environ, progress_time=settings.timeout, message_bytes=settings.max_message)
    is_tcp = listener.family != socket.AF_UNIX  # a socket in the file system is nobody else's
    serve(application, [listener], limits, server_context(settings) if is_tcp else None, orders)
