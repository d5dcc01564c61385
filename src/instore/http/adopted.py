"""Sockets of other processes of the same port, whose connections this one takes while nobody else does.

Each process accepts on a socket of its own, which outlives it. What connects there while its process has died, and the
next one is still loading, is served by the others, as their supervisor tells them.
"""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, Protocol

_LONGEST_ORDER = 32
_ADOPT, _GIVE_BACK = "adopt", "give-back"


class Accept(Protocol):
    """Begins to accept on a socket."""

    def __call__(self, *, sock: socket.socket) -> Coroutine[Any, Any, asyncio.Server]: ...


def order_to_adopt(orders: socket.socket, number: int, listener: socket.socket) -> None:
    """Tell the process at the other end of `orders` to accept on `listener`, too."""
    socket.send_fds(orders, [f"{_ADOPT} {number}".encode()], [listener.fileno()])


def order_to_give_back(orders: socket.socket, number: int) -> None:
    """Tell it to accept there no more."""
    orders.send(f"{_GIVE_BACK} {number}".encode())


class AdoptedSockets:
    """The sockets of others on which this process accepts.

    Args:
        orders: a socket that keeps messages apart, on which they are adopted and given back.
        accept: begins to accept.
    """

    def __init__(self, orders: socket.socket, accept: Accept) -> None:
        self._orders = orders
        self._accept = accept
        self._servers: dict[str, asyncio.Server] = {}
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        orders.setblocking(False)
        self._loop.add_reader(orders.fileno(), self._came.set)
        self._task = self._loop.create_task(self._listen())

    async def leave(self) -> list[asyncio.Server]:
        """Obey the orders that have come, and take no more; what accepts by now, for whoever ends it."""
        self._loop.remove_reader(self._orders.fileno())
        self._task.cancel()
        await self._obey()
        return list(self._servers.values())

    async def _listen(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            await self._obey()

    async def _obey(self) -> None:
        """Do what has come."""
        while True:
            try:
                order, descriptors, _, _ = socket.recv_fds(self._orders, _LONGEST_ORDER, 1)
            except BlockingIOError:
                return
            if not order:  # the supervisor is gone, and with it soon this process
                self._loop.remove_reader(self._orders.fileno())
                return
            word, _, number = order.decode().partition(" ")
            if word == _ADOPT:
                self._servers[number] = await self._accept(sock=socket.socket(fileno=descriptors[0]))
            elif (server := self._servers.pop(number, None)) is not None:
                server.close()
