"""A WebSocket connection as whoever serves it sees it: what comes, and the way back."""

from typing import Protocol


class WebSocketReceiver(Protocol):
    """Who gets a connection's messages; called on the event loop."""

    def message(self, data: bytes, is_text: bool) -> None:
        """A message has come. Its bytes count as memory in use until `WebSocketSender.release`."""

    def writable(self) -> None:
        """There is room for answers again."""

    def closed(self) -> None:
        """The connection has ended: nothing more comes, nothing more can be sent."""

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""

    def drain(self) -> None:
        """The server stops: close when nothing is under way any more."""


class WebSocketSender(Protocol):
    """The way back.

    Attributes:
        is_writable: whether the client takes what is sent; what is sent nevertheless is kept in memory.
    """

    @property
    def is_writable(self) -> bool: ...

    def send(self, data: bytes) -> None:
        """Send a binary message."""

    def send_text(self, text: str) -> None:
        """Send a text message."""

    def break_off(self) -> None:
        """Begin a message that never ends: who waits for one knows that none comes when the connection is closed."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection, behind what was sent."""

    def pause(self) -> None:
        """Have no more messages delivered."""

    def resume(self) -> None:
        """Have them delivered again."""

    def take_answer(self, size: int) -> None:
        """`size` bytes of answers are in memory.

        Raises:
            OverloadedError: there are too many already, and these are not few.
        """

    def release_answer(self, size: int) -> None:
        """They are not any more."""

    def release(self, size: int) -> None:
        """`size` bytes of messages are not in memory any more."""
