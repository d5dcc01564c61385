"""Several worker processes on one port: started together, replaced when they are lost or worn, stopped together.

Strategy: every worker accepts on a socket of its own, which the supervisor keeps open. A worker that has died, or whose
event loop gives no sign of life, is replaced; until the next one serves, the others accept on its socket, too. One
that is well is replaced (because it has served enough, has too much memory, or has old code) by a successor that
serves before it is told to leave; there is one successor at a time, so that memory is not needed twice for all.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from instore.etl.devices import variables_for
from instore.protocol.environment import INSTORE_PARENT_FD
from instore.runtime.lifetime import Lifetime
from instore.runtime.supervised_worker import SupervisedWorker
from instore.server.metrics import RECYCLED, RESTARTS, make_pages, map_pages, vacate
from instore.system import exit_codes
from instore.system.listeners import take_no_more
from instore.system.logs import LogOptions

logger = logging.getLogger("instore")

_POLL = 0.1
_QUICK_DEATHS = 5
_QUICK = 5.0
_HELD_UP = 3.0  # seconds of silence from which others take a worker's connections
_OVERDUE = 5.0  # seconds beyond its grace after which a worker is killed
_SPARE_PAGES = 8  # for successors
_AGAIN = 60.0  # seconds after a successor that did not come to serve, until another is tried


class Supervisor:
    """Keeps workers alive until a signal says stop.

    A worker that exits with code 2 can't be helped by another try: all are stopped and the code is passed on. One that
    keeps dying within seconds of its start stops all, too.

    Args:
        commands: each worker's command line, and its socket, which listens.
        lifetime: when workers are replaced.
        devices: accelerators, of which each worker sees one.
    """

    def __init__(
        self,
        commands: Sequence[tuple[list[str], socket.socket]],
        lifetime: Lifetime,
        devices: Sequence[str] = (),
    ) -> None:
        self._commands = commands
        self._lifetime = lifetime
        self._devices = devices
        self._alive, self._parent_end = os.pipe()
        self._pages = make_pages(len(commands) + _SPARE_PAGES)
        self._mapped = map_pages(self._pages)
        self._free_pages = list(range(len(self._mapped)))
        self._workers: dict[int, SupervisedWorker] = {}
        self._lost: set[int] = set()  # those that died, up to where the next one serves
        self._successor: SupervisedWorker | None = None
        self._not_before = 0.0  # when the next successor may be started
        self._leaving: list[SupervisedWorker] = []
        self._quick_deaths = 0
        self._stopping = False

    def run(self) -> int:
        """Start the workers and stay until they are stopped; the exit code."""
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(stop) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(stop, self._stop)
        for number in range(len(self._commands)):
            self._workers[number] = self._start(number)
        code = 0
        while not self._stopping and not code:
            time.sleep(_POLL)
            code = self._look()
        self._stop_all()
        return code

    def _look(self) -> int:
        """See what there is to do; the exit code if this is the end, else 0."""
        self._see_off()
        code = self._replace_dead()
        if not code:
            self._end_silent()
            self._welcome_successor()
            self._recycle()
            self._share_sockets()
        return code

    def _start(self, number: int) -> SupervisedWorker:
        command, listener = self._commands[number]
        page = self._free_pages.pop(0)
        variables = {**os.environ, INSTORE_PARENT_FD: str(self._alive), **variables_for(self._devices, number)}
        inherited = (listener.fileno(), self._alive)
        return SupervisedWorker(number, command, variables, inherited, self._pages, page, self._mapped[page])

    def _ended(self, worker: SupervisedWorker) -> None:
        """A process is gone: what it had is free."""
        worker.close()
        vacate(self._mapped[worker.page_number])
        self._free_pages.insert(0, worker.page_number)

    # Workers that are lost.

    def _replace_dead(self) -> int:
        for number, worker in self._workers.items():
            code = worker.process.poll()
            if code is None:
                continue
            quick = time.monotonic() - worker.started < _QUICK and code != exit_codes.STUCK  # which another can help
            self._quick_deaths = self._quick_deaths + 1 if quick else 0
            if code == exit_codes.CONFIGURATION:
                return exit_codes.CONFIGURATION
            if self._quick_deaths >= _QUICK_DEATHS:
                logger.error("%d workers in a row died within %g s of their start; giving up", _QUICK_DEATHS, _QUICK)
                return exit_codes.FAILED
            logger.warning("worker %d %s; starting another", worker.pid, how_it_ended(code))
            self._mapped[worker.page_number][RESTARTS] += 1
            self._ended(worker)
            self._lost.add(number)
            self._workers[number] = self._take_successor(number) or self._start(number)
        return 0

    def _take_successor(self, number: int) -> SupervisedWorker | None:
        """The one that is loading already to replace this worker."""
        successor = self._successor
        if successor is None or successor.number != number:
            return None
        self._successor = None
        return successor

    def _end_silent(self) -> None:
        """Kill the workers that have been silent for too long; a look before that, have them say where they are."""
        limit = self._lifetime.silent_time
        for worker in (*self._workers.values(), *self._leaving):
            worker.watch(_POLL)
            if worker.silent > limit + _POLL:
                worker.process.kill()
            elif worker.silent > limit:
                logger.error("worker %d: no sign of life for %g s; this is where its threads are:", worker.pid, limit)
                worker.show_stacks()

    def _share_sockets(self) -> None:
        """Have the workers that serve take the connections of those that don't."""
        self._lost = {number for number in self._lost if not self._workers[number].serves}
        held_up = {number for number, worker in self._workers.items() if worker.silent > _HELD_UP}
        orphans = {number: self._commands[number][1] for number in self._lost | held_up}
        for worker in self._workers.values():
            if worker.serves:
                worker.accept_for(orphans)

    # Workers that are well, and are replaced.

    def _recycle(self) -> None:
        """Start a successor for a worker that has served enough or has too much memory."""
        if self._successor is None and self._free_pages and time.monotonic() >= self._not_before:
            for worker in self._workers.values():
                if worker.serves and (reason := self._worn(worker)):
                    logger.info("worker %d has %s; starting another in its place", worker.pid, reason)
                    self._successor = self._start(worker.number)
                    return

    def _worn(self, worker: SupervisedWorker) -> str:
        """Why a worker is to be replaced; empty: it isn't."""
        after, above = self._lifetime.recycle_after, self._lifetime.recycle_above
        if after and worker.objects >= after:
            return f"served {worker.objects} objects"
        if above and (memory := worker.memory) > above:
            return f"{memory >> 20} MiB of memory"
        return ""

    def _welcome_successor(self) -> None:
        """If the successor serves, have its predecessor leave; if it has ended, go on without it."""
        successor = self._successor
        if successor is None:
            return
        if (code := successor.process.poll()) is not None:
            if code != exit_codes.CONFIGURATION:  # else it has said why
                logger.warning("the new worker %s before it was ready; the old one goes on", how_it_ended(code))
            self._drop_successor()
            self._not_before = time.monotonic() + _AGAIN
        elif successor.serves:
            self._successor = None
            predecessor = self._workers[successor.number]
            self._mapped[predecessor.page_number][RECYCLED] += 1
            predecessor.leave(self._lifetime.grace + _OVERDUE)
            self._leaving.append(predecessor)
            self._workers[successor.number] = successor
            logger.info("worker %d serves now, in place of worker %d", successor.pid, predecessor.pid)

    def _drop_successor(self) -> None:
        """End the one that doesn't serve yet."""
        successor, self._successor = self._successor, None
        if successor is not None:
            successor.process.kill()
            successor.process.wait()
            self._ended(successor)

    def _see_off(self) -> None:
        """Let those go that were told to leave."""
        for worker in list(self._leaving):
            if worker.process.poll() is not None:
                self._leaving.remove(worker)
                self._ended(worker)
            elif time.monotonic() > worker.leaves_by:
                worker.process.kill()

    # The end.

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            os._exit(exit_codes.of_signal(number))  # the workers end with us
        self._stopping = True

    def _stop_all(self) -> None:
        """Have all workers end what they have begun; kill those that don't end themselves."""
        self._drop_successor()
        for _, listener in self._commands:
            take_no_more(listener)
        self._lost.update(self._workers)
        self._share_sockets()  # who has connected to a worker that is still loading is served by another
        for worker in self._workers.values():
            worker.leave(self._lifetime.grace + _OVERDUE)
        for _, listener in self._commands:
            listener.close()  # else who connects would wait for nobody
        for worker in (*self._workers.values(), *self._leaving):
            try:
                worker.process.wait(max(0.0, worker.leaves_by - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.error("worker %d did not end; it is killed", worker.pid)  # noqa: TRY400 - nothing raised it
                worker.process.kill()
                worker.process.wait()


def how_it_ended(code: int) -> str:
    """`was killed by SIGKILL` or `exited with code 3`."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def worker_command(arguments: Sequence[str], descriptor: int, log: LogOptions) -> list[str]:
    """The command line of one worker on an inherited socket."""
    return [sys.executable, "-P", "-m", "instore", *arguments, "--fd", str(descriptor), *log.arguments]
