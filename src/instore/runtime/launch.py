"""From a class to a running server: a socket, and one worker in this process or several under a supervisor."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from instore.http.server import BACKLOG, bind
from instore.protocol.environment import INSTORE_PARENT_FD, Environment
from instore.runtime.lifetime import Lifetime
from instore.runtime.reload import ReloadingSupervisor
from instore.runtime.supervisor import Supervisor, worker_command
from instore.runtime.worker import bind_for, bind_unix, serve
from instore.system.addresses import url_of
from instore.system.logs import LogOptions, tell
from instore.ui.page import PATH
from instore.webserver.base_etl_server import ETLServer


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen.

    Attributes:
        host, port: TCP address; port 0 is any free one.
        fd: descriptor of an inherited socket, in place of them: this process is a worker.
        uds: path of a socket in the file system, in place of them; for one worker.
    """

    host: str
    port: int
    fd: int | None = None
    uds: str | None = None


def launch_reloading(cls: type[ETLServer], transform: str, place: Place, log: LogOptions) -> None:
    """Serve a class by one worker, by another at each save of its files, until a signal says stop; does not return."""
    lifetime = Lifetime.read(os.environ)
    listener = bind(place.host, place.port)
    listener.listen(BACKLOG)  # connections wait here, whichever worker serves
    _announce(cls.__name__, listener, 1, with_page=False)
    command = worker_command(["serve", transform], listener.fileno(), log)
    sys.exit(ReloadingSupervisor(command, listener, lifetime, transform).run())


def launch(
    cls: type[ETLServer],
    command: Sequence[str],
    place: Place,
    workers: int,
    log: LogOptions,
    devices: Sequence[str] = (),
    with_page: bool = False,
) -> None:
    """Serve a class until a signal says stop, and a page to try it on, if wanted; does not return."""
    if place.fd is not None:
        replaced = INSTORE_PARENT_FD in os.environ
        serve(cls, socket.socket(fileno=place.fd), log, replaced, with_page)
        return
    lifetime = Lifetime.read(os.environ)
    if place.uds is not None or (workers == 1 and not lifetime.recycles):
        listener = bind_unix(place.uds) if place.uds is not None else bind(place.host, place.port)
        _announce(cls.__name__, listener, 1, with_page)
        serve(cls, listener, log, place.uds is not None, with_page)
    else:
        listeners = bind_for(workers, place.host, place.port)
        _announce(cls.__name__, listeners[0], workers, with_page)
        commands = [(worker_command(command, one.fileno(), log), one) for one in listeners]
        sys.exit(Supervisor(commands, lifetime, devices).run())


def _announce(name: str, listener: socket.socket, workers: int, with_page: bool) -> None:
    address = listener.getsockname()
    is_encrypted = bool(Environment.read(os.environ).tls)
    place = address if isinstance(address, str) else url_of(address[0], address[1], is_encrypted)
    tell(f"{name} on {place}, {workers} worker{'s' if workers > 1 else ''}")
    if with_page:
        tell(f"the page is {place}{PATH}")
