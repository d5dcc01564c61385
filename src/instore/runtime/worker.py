"""One worker process: the user's object on a socket that is bound already."""

import faulthandler
import functools
import gc
import io
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any

from instore.errors import ConfigurationError
from instore.http.server import BACKLOG, bind
from instore.protocol.environment import (
    INSTORE_ARGS,
    INSTORE_METRICS,
    INSTORE_ORDERS_FD,
    INSTORE_PARENT_FD,
    Environment,
)
from instore.runtime.class_page import add_page
from instore.server.metrics import RESTARTS, Page, make_pages, map_pages, vacate
from instore.server.prints import name_objects
from instore.server.process import set_up_process
from instore.server.run import run
from instore.system.addresses import host_and_port
from instore.system.logs import LogOptions, log_to_stderr
from instore.webserver.base_etl_server import ETLServer, application_of

_EAGER, _CALM = 700, 2000  # objects made that have the youngest collected: by default before Python 3.13, and since
SHOW_STACKS = signal.SIGQUIT
"""Has a supervised worker write where each of its threads is, also while one of them holds all others up."""


def bind_for(workers: int, host: str, port: int) -> list[socket.socket]:
    """A listening TCP socket for each of several workers, all on one port.

    On Linux each worker has a queue of its own, and the system spreads connections over them; with one queue for all,
    whoever wakes first would take most. Elsewhere the workers share one socket.
    """
    first = bind(host, port)
    if sys.platform != "linux":
        first.listen(BACKLOG)
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
        raise ConfigurationError(f"can't listen on {host_and_port(*address[:2])}: {error.strerror}") from error
    bound.listen(BACKLOG)
    return bound


def bind_unix(path: str) -> socket.socket:
    """A bound socket in the file system."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {path}: {error.strerror}") from error
    return bound


def serve(
    cls: type[ETLServer], listener: socket.socket, log: LogOptions, replaced: bool = False, with_page: bool = False
) -> None:
    """Make the user's object and serve it until a signal says stop."""
    metrics = os.environ.pop(INSTORE_METRICS, "") or f"{make_pages(1)}:0"
    if Environment.read(os.environ).frames:
        name_objects()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen at once, also in a container's log
    log_to_stderr(log)
    set_up_process()
    exit_with_parent()
    application = application_of(create(cls))
    application.counters.use(*_pages_and_own(metrics))
    if not replaced:
        application.watchdog.end = functools.partial(_start_anew, listener, metrics)
    if with_page:
        add_page(application, cls)
    _calm_collections()
    if (args := os.environ.get(INSTORE_ARGS)) is not None:
        application.check_args(args)
    application.warm_up()
    run(application, listener, _orders())
    logging.shutdown()
    # A transform that never ends would keep the interpreter from ending; its request has been given up by now.
    sys.stdout.flush()
    os._exit(0)


def _calm_collections() -> None:
    """Have the collector look at modules and models no more, and at what is young as seldom as Python 3.13 does."""
    gc.collect()
    gc.freeze()
    youngest, *older = gc.get_threshold()
    if youngest == _EAGER:
        gc.set_threshold(_CALM, *older)


def _start_anew(listener: socket.socket, metrics: str) -> None:
    """Run the same command again in this process's place, on the same socket, so that who connects waits for it."""
    logging.getLogger("instore").warning("starting it anew")
    sys.stdout.flush()
    logging.shutdown()
    listener.set_inheritable(True)
    pages, own = _pages_and_own(metrics)
    vacate(pages[own])
    pages[own][RESTARTS] += 1
    os.set_inheritable(int(metrics.partition(":")[0]), True)
    os.environ[INSTORE_METRICS] = metrics
    command = [sys.executable, "-P", "-m", "instore", *sys.argv[1:], "--fd", str(listener.fileno())]
    os.execv(sys.executable, command)  # noqa: S606


def _pages_and_own(metrics: str) -> tuple[list[Page], int]:
    descriptor, _, number = metrics.partition(":")
    return map_pages(int(descriptor)), int(number)


def exit_with_parent() -> None:
    """Stop this process when the one that started it is gone, if that one asked for it."""
    descriptor = os.environ.pop(INSTORE_PARENT_FD, "")
    if descriptor:
        threading.Thread(target=_wait_for_end, args=(int(descriptor),), name="parent", daemon=True).start()


def _orders() -> socket.socket | None:
    """Where the supervisor, if there is one, says what this worker is to do; and have its signal show all stacks."""
    descriptor = os.environ.pop(INSTORE_ORDERS_FD, "")
    if not descriptor:
        return None
    faulthandler.register(SHOW_STACKS)
    return socket.socket(fileno=int(descriptor))


def _wait_for_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)  # nobody is left to take a result


def _made_already(cls: type[ETLServer]) -> ETLServer | None:
    """The object that the class's own module made, as files for other people's commands do: with their arguments."""
    module = sys.modules.get(cls.__module__)
    return next((value for value in vars(module).values() if type(value) is cls), None) if module is not None else None


def create(cls: type[ETLServer]) -> ETLServer:
    """The user's object: the one that its module has made, else a new one."""
    try:
        server = _made_already(cls) or cls()
        application_of(server)
    except ConfigurationError:
        raise
    except Exception as error:
        logging.getLogger("instore").exception("%s() failed", cls.__name__)
        raise ConfigurationError(f"{cls.__name__}() failed: {type(error).__name__}: {error}") from error
    return server
