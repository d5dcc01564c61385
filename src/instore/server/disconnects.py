"""Noticing that whoever asked has left, without a cost for the many requests that are over at once."""

import asyncio
from typing import Any

from instore.server.results import Production
from instore.server.sources import Receive, Source

_INTERVAL = 1.0


class Watch:
    """Abandons productions whose clients have left.

    While there are requests, they are looked at once a second. One that was there at the last look too is old enough to
    be worth a task that waits for its client's end; but only when its source no longer needs the request's channel: up
    to then the source itself notices.
    """

    def __init__(self) -> None:
        self._watched: dict[_Watched, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, receive: Receive, source: Source, production: Production) -> "_Watched":
        """Watch a request until `end`."""
        watched = _Watched(receive, source, production)
        self._watched[watched] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._look)
        return watched

    def end(self, watched: "_Watched") -> None:
        """The request is over."""
        del self._watched[watched]
        if watched.task is not None:
            watched.task.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        for watched in self._watched:
            if watched.seen and watched.task is None and watched.source.consumed:
                watched.task = loop.create_task(watched.wait())
            watched.seen = True
        self._timer = loop.call_later(_INTERVAL, self._look) if self._watched else None


class _Watched:
    """One request that is watched."""

    __slots__ = ("_production", "_receive", "seen", "source", "task")

    def __init__(self, receive: Receive, source: Source, production: Production) -> None:
        self.source = source
        self.seen = False
        self.task: asyncio.Task[Any] | None = None
        self._receive = receive
        self._production = production

    async def wait(self) -> None:
        """Wait for the client's end."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._production.abandon()
