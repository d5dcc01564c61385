"""One worker process: the user's object behind uvicorn, on a socket that is bound already."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from typing import Any

import uvicorn

from instore.errors import ConfigurationError
from instore.protocol.environment import PARENT_FD
from instore.runtime.http1 import HTTP1
from instore.webserver.base_etl_server import ETLServer
from instore.webserver.http import BrokenAnswerError

_KEEP_ALIVE = 300  # seconds; longer than any client of ours or the target's keeps a connection idle
_GRACE = 25  # seconds for requests under way; Kubernetes gives 30 in all
_BACKLOG = 2048
_SWITCH = 0.001  # seconds that a transform may keep the interpreter while the event loop has something to do


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
            f"can't listen on {host}:{port}: {error.strerror}; choose another with --host and --port"
        ) from error
    return bound


def bind_for(workers: int, host: str, port: int) -> list[socket.socket]:
    """A listening TCP socket for each of several workers, all on one port.

    On Linux each worker has a queue of its own, and the system spreads connections over them; with one queue for all,
    whoever wakes first would take most. Elsewhere the workers share one socket.

    Raises:
        ConfigurationError: the port is in use or the address can't be had.
    """
    first = bind(host, port)
    if sys.platform != "linux":
        first.listen(_BACKLOG)
        return [first] * workers
    address = first.getsockname()
    first.close()  # it was bound alone, which shows that nobody else listens there
    return [_bind_beside(first.family, address) for _ in range(workers)]


def _bind_beside(family: socket.AddressFamily, address: Any) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {address[0]}:{address[1]}: {error.strerror}") from error
    bound.listen(_BACKLOG)
    return bound


def bind_unix(path: str) -> socket.socket:
    """A bound socket in the file system.

    Raises:
        ConfigurationError: it can't be made.
    """
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {path}: {error.strerror}") from error
    return bound


def serve(cls: type[ETLServer], listener: socket.socket, log_level: str) -> None:
    """Make the user's object and serve it until a signal says stop.

    Args:
        cls: the user's class; its `__init__` runs here.
        listener: bound socket.
        log_level: `debug`, `info`, `warning` or `error`.

    Raises:
        ConfigurationError: the environment is unfit, or `__init__` failed.
    """
    set_up_logging(log_level)
    raise_file_limit()
    sys.setswitchinterval(_SWITCH)
    exit_with_parent()
    server = _create(cls)
    gc.collect()
    gc.freeze()  # modules and models stay for good: no collection looks at them again
    config = uvicorn.Config(
        server.app,
        loop="uvloop",
        http=HTTP1,
        ws="websockets-sansio",
        ws_max_size=server.environment.max_message,
        ws_ping_interval=None,  # a client that waits for its answers need not read, nor answer pings
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )
    uvicorn.Server(config).run(sockets=[listener])
    logging.shutdown()
    # A transform that never ends would keep the interpreter from ending; its request has been given up by now.
    sys.stdout.flush()
    os._exit(0)


def set_up_logging(level: str) -> None:
    """Log to standard error, a line a record."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one (protocol section 1)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: the hard limit may be more than the system allows
        logging.getLogger("instore").info("the limit on open files stays as it is: %s", error)


def exit_with_parent() -> None:
    """Stop this process when the one that started it is gone, if that one asked for it."""
    descriptor = os.environ.pop(PARENT_FD, "")
    if descriptor:
        threading.Thread(target=_wait_for_end, args=(int(descriptor),), name="parent", daemon=True).start()


def _wait_for_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)  # nobody is left to take a result


def _create(cls: type[ETLServer]) -> ETLServer:
    try:
        server = cls()
        _ = server.app
    except ConfigurationError:
        raise
    except Exception as error:
        logging.getLogger("instore").exception("%s() failed", cls.__name__)
        raise ConfigurationError(f"{cls.__name__}() failed: {type(error).__name__}: {error}") from error
    return server


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the server's stack trace for an answer that we broke ourselves: its reason has been logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], BrokenAnswerError))
