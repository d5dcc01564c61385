"""The engine: uvicorn around an ASGI application, on sockets that are bound already."""

import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from instore.errors import ConfigurationError
from instore.http.http1 import HTTP1, FastPath
from instore.system.addresses import host_and_port

_KEEP_ALIVE = 300  # seconds; longer than any client of ours or the target's keeps a connection idle
BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket.

    Raises:
        ConfigurationError: the port is in use or the address can't be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"can't listen on {host_and_port(host, port)}: {error.strerror}; choose another with --host and --port"
        ) from error
    return bound


def serve(
    application: Any,
    listeners: Sequence[socket.socket],
    grace: int,
    fast_path: FastPath | None = None,
    **options: Any,
) -> bool:
    """Serve an ASGI application until a signal says stop; then return, when the requests under way are over.

    Args:
        application: what answers.
        listeners: bound sockets.
        grace: seconds for the requests under way.
        shortcut: answers small requests in the application's place. Default: none.
        options: uvicorn's, for WebSocket.

    Returns:
        Whether it has started.
    """
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=partial(HTTP1, fast_path=fast_path),  # type: ignore[arg-type]  # it is only called
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
        **options,
    )
    engine = uvicorn.Server(config)
    with _signals_only_stop(engine):
        engine.run(sockets=list(listeners))
    return engine.started


@contextmanager
def _signals_only_stop(engine: uvicorn.Server) -> Iterator[None]:
    """Have signals stop the engine, also those that uvicorn doesn't take itself.

    It takes none before its loop runs: one that came then would be lost, and the process never stop. And it raises the
    one that stopped it once more when it has ended, which has then done its work.
    """
    if threading.current_thread() is not threading.main_thread():  # it takes no signals there
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        engine.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
