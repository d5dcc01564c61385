"""A WebSocket client that loses nothing of what came."""

import contextlib

from websockets.sync.client import ClientConnection


class ReadingConnection(ClientConnection):
    """A connection that reads to its end.

    The library answers a close before it hands on what came ahead of it, and drops that if the server has left by then.
    """

    def send_data(self) -> None:
        """Send; that the server has left shows where it is read."""
        with contextlib.suppress(OSError):
            super().send_data()
