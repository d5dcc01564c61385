"""One worker on a port, and another in its place whenever its code is saved."""

import socket
import threading

from instore.runtime.changes import Saves
from instore.runtime.lifetime import Lifetime
from instore.runtime.supervisor import Supervisor


class ReloadingSupervisor(Supervisor):
    """Keeps one worker alive, and replaces it at each save by one that has the new code.

    Both take connections from one socket. The old worker is told to stop when the new one serves, and ends what it
    has begun; where the new one can't start, the old one stays.

    Args:
        command: the worker's command line.
        listener: its socket, which listens.
        lifetime: when the worker is replaced besides.
        transform: TRANSFORM.
    """

    def __init__(self, command: list[str], listener: socket.socket, lifetime: Lifetime, transform: str) -> None:
        super().__init__([(command, listener)], lifetime)
        self._saves = Saves(transform)
        self._saved = threading.Event()

    def run(self) -> int:
        """Start the worker and stay until it is stopped."""
        threading.Thread(target=self._wait_for_saves, name="saves", daemon=True).start()
        return super().run()

    def _wait_for_saves(self) -> None:
        while True:
            self._saves.wait()
            self._saved.set()

    def _recycle(self) -> None:
        """Start a successor that has the new code; one that is loading has old code already."""
        if not self._saved.is_set():
            super()._recycle()
            return
        self._drop_successor()
        if self._free_pages:
            self._saved.clear()
            self._successor = self._start(0)
