"""Noticing that whoever asked has left, without a cost for the many requests that are over at once."""

import asyncio
from typing import Any

from instore.server.results import Result
from instore.server.sources import Receive, Source

_INTERVAL = 1.0


class DisconnectWatcher:
    """Abandons productions whose clients have left.

    While there are requests, they are looked at once a second. One that was there at the last look too is old enough to
    be worth a task that waits for its client's end; but only when its source no longer needs the request's channel: up
    to then the source itself notices.
    """

    def __init__(self) -> None:
        self._watched: dict[_WatchedRequest, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, receive: Receive, source: Source, result: Result) -> "_WatchedRequest":
        """Watch a request until `end`."""
        watched = _WatchedRequest(receive, source, result)
        self._watched[watched] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._check)
        return watched

    def end(self, watched: "_WatchedRequest") -> None:
        """The request is over."""
        del self._watched[watched]
        if watched.task is not None:
            watched.task.cancel()

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        for watched in self._watched:
            if watched.seen and watched.task is None and watched.source.consumed:
                watched.task = loop.create_task(watched.wait())
            watched.seen = True
        self._timer = loop.call_later(_INTERVAL, self._check) if self._watched else None


class _WatchedRequest:
    """One request that is watched."""

    __slots__ = ("_make_result", "_receive", "seen", "source", "task")

    def __init__(self, receive: Receive, source: Source, result: Result) -> None:
        self.source = source
        self.seen = False
        self.task: asyncio.Task[Any] | None = None
        self._receive = receive
        self._make_result = result

    async def wait(self) -> None:
        """Wait for the client's end."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._make_result.abandon()
