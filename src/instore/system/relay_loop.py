"""An event loop that threads run by turns, so that short work between its turns needs no change of threads.

Who runs the loop leads. A worker that leads runs it until there is work, leaves it, works, and runs it again: the way
to another thread and back would cost more than all else that is done for a small object. While it works nobody runs the
loop, so that everything on it is at rest. If that lasts longer than a moment, the loop's own thread, which watches,
takes the lead and goes on with it: no work holds up the loop for longer, whatever it does.

| who leads | until |
| --- | --- |
| the loop's own thread | it lends the lead to a worker, `RelayLoop.lend` |
| a worker | it gives the lead back, or it is taken from it while it works; `Lead` |
"""

import threading
from collections.abc import Callable
from typing import Protocol

import uvloop

_MOMENT = 0.003  # seconds: for once or twice as long a worker may be at work
_DOZE = 1.0  # seconds that the loop's own thread sleeps while nothing is done; then it looks for signals


class LeadingWorkers(Protocol):
    """Threads of which one can lead. Each method is called by whoever leads, while nobody runs the loop."""

    def start(self, lead: "Lead") -> None:
        """Have one of the threads call `lead.run`."""

    def settle(self) -> bool:
        """Tell the loop what was done; whether to lead on."""

    def taken(self) -> None:
        """The lead was taken away: work that was not begun is to be done elsewhere."""


class RelayLoop(uvloop.Loop):
    """An event loop whose own thread can lend the lead."""

    def __init__(self) -> None:
        super().__init__()
        self.ending = False  # somebody has called `stop`
        self._next: LeadingWorkers | None = None

    def run_forever(self) -> None:
        """Run until `stop` is called, whoever leads."""
        try:
            while True:
                super().run_forever()
                workers, self._next = self._next, None
                if workers is not None and not self.ending:
                    self._watch(workers)
                if self.ending:
                    return
        finally:
            self.ending = False

    def stop(self) -> None:
        """Have `run_forever` return."""
        self.ending = True
        super().stop()

    def lend(self, workers: LeadingWorkers) -> None:
        """Have one of `workers` lead from the end of this turn on. Called on the loop, while its own thread leads."""
        self._next = workers
        super().stop()

    def pause(self) -> None:
        """Have the worker that leads leave the loop at the end of this turn: there is work. Called on the loop."""
        super().stop()

    def run_until_pause(self) -> None:
        """Run the loop in the thread of a worker."""
        super().run_forever()

    def _watch(self, workers: LeadingWorkers) -> None:
        """Lend the lead, and wait until it is given back or has to be taken."""
        lead = Lead(self, workers)
        workers.start(lead)
        turn = -1
        while not lead.over:
            lead.wait(_MOMENT)
            if lead.turn != turn:
                turn = lead.turn
            elif not lead.over:  # the same work as a moment ago, or none
                if lead.take():
                    workers.taken()
                    return
                lead.doze(_DOZE)
                turn = lead.turn
        if lead.error is not None:
            raise lead.error


class Lead:
    """The lead in the hands of a worker, once.

    Attributes:
        turn: how often the worker has left the loop for work.
        over: it was given back.
        error: what a callback of the loop has raised for the thread that runs it, such as `SystemExit`.
    """

    def __init__(self, loop: RelayLoop, workers: LeadingWorkers) -> None:
        self.turn = 0
        self.over = False
        self.error: BaseException | None = None
        self._loop = loop
        self._workers = workers
        self._unheld = [None]  # while nobody runs the loop: who takes it out, which only one can, leads
        self._news = threading.Lock()  # let go of when there is news; an Event costs as much as a small object
        self._news.acquire()
        self._dozes = False

    def run(self, work: Callable[[], object]) -> None:
        """Lead, and `work` between turns, until the lead is given back or taken. In a worker's thread."""
        if not self.take():
            return
        loop, workers = self._loop, self._workers
        try:
            while workers.settle():
                loop.run_until_pause()
                if loop.ending:
                    break
                self.turn += 1
                self._unheld.append(None)
                if self._dozes:
                    self._tell()
                work()
                if not self.take():
                    return
        except BaseException as error:
            self.error = error
        self.over = True
        self._tell()

    def take(self) -> bool:
        """Whether the caller leads from now on. Either thread."""
        try:
            self._unheld.pop()
        except IndexError:
            return False
        return True

    def wait(self, seconds: float) -> None:
        """Sleep until there is news, at most for some time. Watching thread's side."""
        self._news.acquire(timeout=seconds)

    def doze(self, seconds: float) -> None:
        """Sleep until there is work or news, at most for some time. Watching thread's side."""
        self._dozes = True
        if not self._unheld:  # else the work began before we were seen to doze
            self.wait(seconds)
        self._dozes = False

    def _tell(self) -> None:
        """Wake the watching thread. Worker's side, which alone lets go of the lock."""
        if self._news.locked():
            self._news.release()
