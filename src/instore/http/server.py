"""A server on sockets that are bound already: it accepts, keeps time, and stops without losing what is under way."""

import asyncio
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvloop

from instore.errors import ConfigurationError
from instore.http.adopted import AdoptedSockets
from instore.http.http_connection import HTTPConnection
from instore.http.limits import Limits
from instore.http.request import Application
from instore.http.server_state import ServerState
from instore.system import exit_codes
from instore.system.addresses import host_and_port
from instore.system.listeners import take_no_more
from instore.system.relay_loop import RelayLoop

BACKLOG = 2048
_LOOKS = 10  # how often, within the shortest time that a client may take, connections are looked at
_POLL = 0.02
_NEXT_REQUEST = 1.0  # seconds within which a request that is on its way comes
_UNWIND = 1.0  # seconds for clients to see the end, and for what is broken off to say so in the log
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket."""
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
    application: Application,
    listeners: Sequence[socket.socket],
    limits: Limits,
    tls: ssl.SSLContext | None = None,
    orders: socket.socket | None = None,
) -> None:
    """Serve until a signal says stop; then return, when the requests under way are over.

    Args:
        application: what answers.
        listeners: bound sockets.
        limits: the bounds.
        tls: with which the clients are spoken to; None: without.
        orders: on which a supervisor says which listeners of others to accept on, too.
    """
    server = _RunningServer(application, listeners, limits, tls, orders)
    with server.stopped_by_signals():
        uvloop.run(server.run(), loop_factory=RelayLoop)


class _RunningServer:
    def __init__(
        self,
        application: Application,
        listeners: Sequence[socket.socket],
        limits: Limits,
        tls: ssl.SSLContext | None,
        orders: socket.socket | None,
    ) -> None:
        self._tls = tls
        self._orders = orders
        self._application = application
        self._listeners = listeners
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._stopped: asyncio.Event

    async def run(self) -> None:
        """Start, serve, stop."""
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        if self._stop.is_set():
            return
        await self._application.start()
        state = ServerState(self._application, self._limits)
        accept = partial(self._loop.create_server, lambda: HTTPConnection(state), backlog=BACKLOG, ssl=self._tls)
        servers = [await accept(sock=listener) for listener in self._listeners]
        adopted = AdoptedSockets(self._orders, accept) if self._orders is not None else None
        looking = self._loop.create_task(self._look(state))
        if self._stop.is_set():
            self._stopped.set()
        await self._stopped.wait()
        if adopted is not None:
            servers += await adopted.leave()
        await self._drain(state, servers)
        looking.cancel()
        await self._application.stop()

    async def _look(self, state: ServerState) -> None:
        """Move the clock, and give up clients that don't move in time."""
        limits = self._limits
        interval = min(1.0, limits.progress_time / _LOOKS, limits.head_time / _LOOKS, limits.idle_time / _LOOKS)
        while True:
            await asyncio.sleep(interval)
            state.tick()
            for connection in list(state.connections):
                connection.check()

    async def _drain(self, state: ServerState, servers: Sequence[asyncio.Server]) -> None:
        """Accept nothing more, let what is under way end, and break off what doesn't in time."""
        state.stopping = True
        self._application.drain()
        if self._orders is None:  # else others may go on accepting there, and whoever knows sees to it
            for listener in self._listeners:
                take_no_more(listener)
        await asyncio.sleep(_POLL)  # who is connected, but not accepted yet, would be reset
        for server in servers:
            server.close()
        began = state.loop.time()
        just_idle = True
        while just_idle or (
            any(connection.busy for connection in state.connections) and state.now < began + self._limits.grace
        ):
            state.tick()
            just_idle = bool(state.connections) and state.now < began + _NEXT_REQUEST
            for connection in list(state.connections):
                connection.drain(just_idle)
            await asyncio.sleep(_POLL)
        for connection in list(state.connections):
            if connection.busy:
                connection.abort()
        until = state.loop.time() + _UNWIND
        while state.connections and state.loop.time() < until:  # noqa: ASYNC110 - it is over soon
            await asyncio.sleep(_POLL)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Have the first signal stop the server, and the second end the process."""
        if threading.current_thread() is not threading.main_thread():  # it takes no signals there
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        taken = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]  # as nohup has it
        for number in taken:
            signal.signal(number, self._signalled)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            os._exit(exit_codes.of_signal(number))
        self._stop.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._stopped.set()
