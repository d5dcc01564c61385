"""What a test sees of an object that was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from instore.errors import NoResultError
from instore.protocol.headers import RETRY_REASON
from instore.protocol.responses import ResponseMeaning, error_text, read_response, split_frames
from instore.testing.wire import Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one object.

    Attributes:
        status: the HTTP status; None over WebSocket, or where no answer came.
        headers: the answer's headers, with lower-case names.
        error: why there is no result, in a sentence; empty if there is one.
        frames: the places in the transform's code that the error comes from, the innermost last.
        result: the result's bytes; None if there is none.
        seconds: from the request to the answer's last byte.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    frames: tuple[str, ...] = ()
    result: bytes | None = field(default=None, repr=False)
    seconds: float = 0.0

    @property
    def body(self) -> bytes:
        """The result's bytes.

        Raises:
            NoResultError: there is none; the text is the object's error.
        """
        if self.result is None:
            raise NoResultError("".join([self.error, *(f"\n  at {frame}" for frame in self.frames)]))
        return self.result


def failed(reply: Reply, error: str) -> Answer:
    """The answer for an object without a result."""
    sentence, frames = split_frames(error)
    return Answer(
        reply.status, reply.headers, sentence or "the server gave no reason", tuple(frames), None, reply.seconds
    )


def read_reply(reply: Reply) -> Answer:
    """The answer where the result itself was asked for."""
    if reply.broken:
        return failed(reply, reply.broken)
    if reply.text:
        return failed(reply, f"the server says that the result is delivered: {error_text(reply.body)}")
    if reply.status is not None:
        meaning = read_response(reply.status, reply.headers.get(RETRY_REASON.lower(), ""))
        if meaning is not ResponseMeaning.OBJECT:
            return failed(reply, error_text(reply.body) or f"the server answered {reply.status} without a reason")
    return Answer(reply.status, reply.headers, result=reply.body, seconds=reply.seconds)


def read_delivery(reply: Reply, delivered: list[bytes]) -> Answer:
    """The answer where the result was to be put to a target, which was sent `delivered`."""
    if reply.broken:
        return failed(reply, reply.broken)
    meaning = read_response(reply.status or 0, reply.headers.get(RETRY_REASON.lower(), ""))
    if meaning is not ResponseMeaning.DELIVERED:
        said = error_text(reply.body) if meaning is not ResponseMeaning.OBJECT else ""
        return failed(reply, said or f"the server answered {reply.status} where 204, delivered, was expected")
    if len(delivered) != 1:
        return failed(reply, f"the server answered 204, delivered, but the target was sent {len(delivered)} results")
    return Answer(reply.status, reply.headers, result=delivered[0], seconds=reply.seconds)
