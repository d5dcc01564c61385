"""One transform on a socket that is bound already."""

import logging
import os
import socket

from instore.http.limits import Limits
from instore.http.server import bind, serve
from instore.server.app import ETLApplication
from instore.system.addresses import http_url


def listen_and_run(name: str, application: ETLApplication, host: str, port: int) -> None:
    """Bind, say where, and `run`."""
    listener = bind(host, port)
    logging.getLogger(name).info("%s on %s", name, http_url(*listener.getsockname()[:2]))
    run(application, listener)


def run(application: ETLApplication, listener: socket.socket) -> None:
    """Serve `application` until a signal says stop; then return, when the requests under way are over."""
    settings = application.settings
    limits = Limits.read(os.environ, progress_time=settings.timeout, message_bytes=settings.max_message)
    serve(application, [listener], limits)
