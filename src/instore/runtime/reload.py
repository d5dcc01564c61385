"""One worker on a port, and another in its place whenever its code is saved."""

import logging
import os
import select
import subprocess
import threading
from typing import NamedTuple

from instore.protocol.environment import INSTORE_READY_FD
from instore.runtime.changes import Saves
from instore.runtime.supervisor import Supervisor, how_it_ended
from instore.system import exit_codes

logger = logging.getLogger("instore")


class _Successor(NamedTuple):
    """A worker that is not ready yet, and the pipe that will say so."""

    process: subprocess.Popen[bytes]
    ready: int


class ReloadingSupervisor(Supervisor):
    """Keeps one worker alive, and replaces it at each save by one that has the new code.

    Both take connections from one socket. The old worker is told to stop when the new one is ready, and ends what it
    has begun; where the new one can't start, the old one stays.

    Args:
        command: the worker's command line.
        listener: descriptor of its socket, which listens.
        transform: TRANSFORM.
    """

    def __init__(self, command: list[str], listener: int, transform: str) -> None:
        super().__init__([(command, listener)])
        self._saves = Saves(transform)
        self._saved = threading.Event()
        self._successor: _Successor | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []

    def run(self) -> int:
        """Start the worker and stay until it is stopped."""
        threading.Thread(target=self._watch, name="saves", daemon=True).start()
        return super().run()

    def _watch(self) -> None:
        while True:
            self._saves.wait()
            self._saved.set()

    def _look(self, environment: dict[str, str]) -> int:
        self._leaving = [process for process in self._leaving if process.poll() is None]
        if self._saved.is_set():
            self._saved.clear()
            self._drop_successor()
            self._prepare(environment)
        elif self._successor is not None and select.select([self._successor.ready], [], [], 0)[0]:
            self._hand_over(self._successor)
        return super()._look(environment)

    def _all(self) -> list[subprocess.Popen[bytes]]:
        coming = [self._successor.process] if self._successor is not None else []
        return [*super()._all(), *self._leaving, *coming]

    def _prepare(self, environment: dict[str, str]) -> None:
        """Start a worker with the new code."""
        ready, theirs = os.pipe()
        process = self._spawn(0, {**environment, INSTORE_READY_FD: str(theirs)}, theirs)
        os.close(theirs)
        self._successor = _Successor(process, ready)

    def _drop_successor(self) -> None:
        """Its code is old already."""
        if self._successor is not None:
            os.close(self._successor.ready)
            self._successor.process.kill()
            self._successor.process.wait()
            self._successor = None

    def _hand_over(self, successor: _Successor) -> None:
        """The new worker is ready, or has ended."""
        self._successor = None
        is_ready = os.read(successor.ready, 1) != b""
        os.close(successor.ready)
        if not is_ready:
            code = successor.process.wait()
            if code != exit_codes.CONFIGURATION:  # else it has said why
                logger.warning("the new worker %s before it was ready; the old one goes on", how_it_ended(code))
            return
        for process in self._started:
            process.terminate()
        self._leaving += self._started
        self._started.clear()
        self._add(0, successor.process)
        logger.info("reloaded: worker %d serves now", successor.process.pid)
