"""What a server takes of its clients, at most (docs/limits.md)."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from instore.errors import BodyTooLargeError, ConfigurationError, OverloadedError
from instore.protocol.environment import LIMIT_PREFIX
from instore.system.limits import memory_limit
from instore.system.steps import Waiter

SMALL = 1 << 16
"""Bytes of a body that is waited for before its request is begun: then nothing has to be waited for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one server process. Each can be set by a variable of its name, such as `INSTORE_IDLE_TIME`.

    Attributes:
        head_bytes: of a request's line and headers together.
        head_fields: headers of a request.
        target_bytes: of its target, the path and the query as they are sent.
        head_time: seconds from a request's first byte to the end of its headers.
        idle_time: seconds that a connection may be without a request.
        progress_time: seconds without a byte, of a body that is waited for or an answer that is not taken.
        body_bytes: of one request's body.
        body_memory: bytes of all bodies in memory together; who would go beyond it waits. Default: half of what this
            process may have.
        body_wait: seconds that a request waits for memory before it is answered 503.
        connections: at once.
        message_bytes: of one WebSocket message.
        fragments: frames of one WebSocket message.
        grace: seconds for the requests under way when the server stops.
    """

    head_bytes: int = 1 << 16
    head_fields: int = 128
    target_bytes: int = 1 << 16
    head_time: float = 30.0
    idle_time: float = 300.0
    progress_time: float = 60.0
    body_bytes: int = 1 << 50
    body_memory: int = field(default_factory=lambda: memory_limit() // 2)
    body_wait: float = 30.0
    connections: int = 16384
    message_bytes: int = 16 << 30
    fragments: int = 1 << 23
    grace: float = 30.0

    @classmethod
    def read(cls, variables: Mapping[str, str], **given: Any) -> "Limits":
        """The bounds that `variables` set, and those that are `given`."""
        found = {
            bound.name: parse_bound(bound.name, value)
            for bound in fields(cls)
            if bound.name not in given and (value := variables.get(variable_of(bound.name), "").strip())
        }
        return cls(**given, **found)  # type: ignore[arg-type]  # each has its field's type


def variable_of(name: str) -> str:
    """The variable that sets a bound."""
    return f"{LIMIT_PREFIX}{name.upper()}"


def parse_bound(name: str, value: str) -> float:
    """The number of a bound; its name says of what.

    Raises:
        ConfigurationError: it is none, or not above 0.
    """
    kind = float if name.endswith(("time", "wait", "grace")) else int
    try:
        bound = kind(value)
    except ValueError:
        bound = 0
    if not 0 < bound < float("inf"):
        unit = "seconds" if kind is float else "bytes" if name.endswith(("bytes", "memory")) else "them"
        raise ConfigurationError(f"{variable_of(name)}={value!r} is not a number of {unit} above 0")
    return bound


class BodyMemory:
    """The memory for the bodies of all requests of a process, or for all results that clients have not taken.

    What is small may go beyond the limit by a quarter: it is served while large bodies, which come slowly, have all.

    Args:
        limit: bytes.
        wait: seconds that somebody waits for memory before it is refused.

    Attributes:
        used: bytes.
    """

    def __init__(self, limit: int, wait: float) -> None:
        self.used = 0
        self._limit = limit
        self._limit_for_small = limit + limit // 4
        self._wait = wait
        self._large: deque[tuple[int, Waiter[bool]]] = deque()
        self._small: deque[tuple[int, Waiter[bool]]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether even what is small has to wait."""
        return self.used >= self._limit_for_small

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._large or self._small)

    def check(self) -> None:
        """Refuse what can't wait.

        Raises:
            OverloadedError: it is full.
        """
        if self.is_full:
            raise OverloadedError("there are too many results in memory that their clients don't take; try again")

    def take(self, size: int) -> None:
        """Count `size` bytes that are in memory already."""
        self.used += size

    def has_room(self, size: int, held: int = 0) -> bool:
        """Whether `size` bytes need not wait; arguments as for `reserve`."""
        is_small = size + held <= SMALL
        return not self._queue_of(is_small) and self.used + size <= self._limit_of(is_small)

    async def reserve(self, size: int, held: int = 0) -> None:
        """Wait until there is room for `size` bytes.

        Several bodies that each have a part and wait for more can't block each other for longer than one may wait: who
        has waited longest is refused, and gives back what it has.

        Args:
            size: in bytes.
            held: bytes that the same body has already: what is large is large in small pieces, too.

        Raises:
            BodyTooLargeError: there will never be.
            OverloadedError: there was none in time.
        """
        if size + held > self._limit:
            raise BodyTooLargeError(
                f"a body of at least {size + held} bytes is more than all bodies in memory together may have, "
                f"{self._limit}; transform it with transform_stream, or raise the limit"
            )
        if self.has_room(size, held):
            self.used += size
            return
        loop = asyncio.get_running_loop()
        waiter: Waiter[bool] = Waiter(loop)  # an error that is kept in it would keep itself, and the body that it ends
        queue, entry = self._queue_of(size + held <= SMALL), (size, waiter)
        queue.append(entry)
        timer = loop.call_later(self._wait, self._refuse, waiter)
        is_granted = False
        try:
            is_granted = await waiter
        finally:
            timer.cancel()
            if not is_granted:
                if entry in queue:
                    queue.remove(entry)
                self._grant()  # to those who stood behind it, and need less
        if not is_granted:
            raise OverloadedError(f"no memory for the body within {self._wait:g} s: too many bodies at once; try again")

    def release(self, size: int) -> None:
        """Give back."""
        self.used -= size
        self._grant()

    def _grant(self) -> None:
        """Give those who wait what there is."""
        for queue, limit in ((self._large, self._limit), (self._small, self._limit_for_small)):
            while queue and self.used + queue[0][0] <= limit:
                size, waiter = queue.popleft()
                if not waiter.done():
                    self.used += size
                    waiter.set_result(True)

    def _queue_of(self, is_small: bool) -> deque[tuple[int, Waiter[bool]]]:
        return self._small if is_small else self._large

    def _limit_of(self, is_small: bool) -> int:
        return self._limit_for_small if is_small else self._limit

    def _refuse(self, waiter: Waiter[bool]) -> None:
        if not waiter.done():
            waiter.set_result(False)
