"""A WebSocket client that loses nothing of what came."""

import contextlib
import threading

from websockets.sync.client import ClientConnection


class ReadingConnection(ClientConnection):
    """A connection that reads to its end.

    The library answers a close before it hands on what came ahead of it, and drops that if the server has left by then.
    """

    def send_data(self) -> None:
        """Send; to whoever reads, that the server has left shows where it is read."""
        reads = threading.current_thread() is self.recv_events_thread
        with contextlib.suppress(OSError) if reads else contextlib.nullcontext():
            super().send_data()
