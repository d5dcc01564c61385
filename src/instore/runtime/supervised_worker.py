"""One worker process, as its supervisor sees it."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence

from instore.http.adopted import order_to_adopt, order_to_give_back
from instore.protocol.environment import INSTORE_METRICS, INSTORE_ORDERS_FD
from instore.runtime.worker import SHOW_STACKS
from instore.server.metrics import BEATS, Page, objects_ended
from instore.system.machine import resident_memory


class SupervisedWorker:
    """A worker, from its start to its end.

    Args:
        number: which of the workers of its port it is.
        command: its command line.
        variables: its environment.
        descriptors: what it inherits.
        pages: descriptor of the file of pages.
        page_number, page: the page in which it counts.

    Attributes:
        process: the operating system's.
        started: when, on the monotonic clock.
        silent: seconds since the last sign of life, as far as its supervisor has watched.
        leaves_by: when it must have ended, once it was told to.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        variables: Mapping[str, str],
        descriptors: Sequence[int],
        pages: int,
        page_number: int,
        page: Page,
    ) -> None:
        self.number = number
        self.page_number = page_number
        self.started = time.monotonic()
        self.silent = 0.0
        self.leaves_by = 0.0
        self._page = page
        self._objects_before = objects_ended(page)
        self._beats = 0.0
        self._adopted: set[int] = set()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            own = {INSTORE_METRICS: f"{pages}:{page_number}", INSTORE_ORDERS_FD: str(theirs.fileno())}
            passed = (*descriptors, pages, theirs.fileno())
            self.process = subprocess.Popen(command, env={**variables, **own}, pass_fds=passed)  # noqa: S603
        self._orders.setblocking(False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def serves(self) -> bool:
        """Whether it has begun to."""
        return self._page[BEATS] > 0

    @property
    def objects(self) -> int:
        """How many have ended in it."""
        return int(objects_ended(self._page) - self._objects_before)

    @property
    def memory(self) -> int:
        """Bytes that it has; 0 if it has ended."""
        return resident_memory(self.process.pid)

    def watch(self, seconds: float) -> None:
        """Note whether it has given a sign of life in the `seconds` since the last look.

        They are the supervisor's own: what stops both, as a suspended session does, is no worker's silence.
        """
        beats = self._page[BEATS]
        self.silent = self.silent + seconds if beats == self._beats and beats else 0.0
        self._beats = beats

    def accept_for(self, others: Mapping[int, socket.socket]) -> None:
        """Have it accept on the sockets of these others besides its own, and of no more."""
        with contextlib.suppress(BlockingIOError, ConnectionError):  # it hears nothing; the next look tries again
            for number in self._adopted - others.keys():
                order_to_give_back(self._orders, number)
                self._adopted.remove(number)
            for number in others.keys() - self._adopted - {self.number}:
                order_to_adopt(self._orders, number, others[number])
                self._adopted.add(number)

    def leave(self, grace: float) -> None:
        """Tell it to end what is under way, and itself."""
        self.process.terminate()
        self.leaves_by = time.monotonic() + grace

    def show_stacks(self) -> None:
        """Have it write where it is."""
        os.kill(self.process.pid, SHOW_STACKS)

    def close(self) -> None:
        """It has ended."""
        self._orders.close()
