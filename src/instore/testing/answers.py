"""What a test sees of an object that was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from instore.errors import SKIPPED, NoResultError
from instore.protocol.headers import RESULTS_TYPE, RETRY_REASON, SKIPPED_OBJECT
from instore.protocol.object_groups import HEAD_SIZE, decode_head, decode_headers
from instore.protocol.responses import ResponseMeaning, error_text, read_response, split_frames
from instore.protocol.result_frames import split_results
from instore.server.user_results import Result
from instore.testing.wire import Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one object.

    Attributes:
        status: the HTTP status; None over WebSocket, or where no answer came.
        headers: the answer's headers, with lower-case names.
        error: why there is no result, in a sentence; empty if there is one.
        frames: the places in the transform's code that the error comes from, the innermost last.
        result: the result's bytes; None if there is none, or if there are several.
        results: all results, where they were asked for: each with its name, content type and metadata.
        skipped: whether the transform has raised `Skip`; `error` says why.
        seconds: from the request to the answer's last byte.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    frames: tuple[str, ...] = ()
    result: bytes | None = field(default=None, repr=False)
    seconds: float = 0.0
    results: tuple[Result, ...] = field(default=(), repr=False)

    @property
    def skipped(self) -> bool:
        if self.status is None:  # over WebSocket there is no header
            return self.error.partition(":")[0] == SKIPPED
        return SKIPPED_OBJECT.lower() in self.headers

    @property
    def body(self) -> bytes:
        """The result's bytes.

        Raises:
            NoResultError: there is none; the text is the object's error.
        """
        if self.result is None and self.results:
            raise NoResultError(f"there are {len(self.results)} results; they are in `results`")
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
    if reply.headers.get("content-type") == RESULTS_TYPE:
        return _read_results(reply)
    return Answer(reply.status, reply.headers, result=reply.body, seconds=reply.seconds)


def _read_results(reply: Reply) -> Answer:
    """The answer where all results were asked for, and there are several, or one with a name or metadata."""
    try:
        frames = list(split_results(reply.body))
    except ValueError as error:
        return failed(reply, f"the answer has no results, as it says: {error}")
    results = [Result(data, head.name, head.content_type, head.metadata) for head, data in frames]
    only = results[0].data if len(frames) == 1 and frames[0][0].is_only else None
    return Answer(
        reply.status,
        reply.headers,
        result=bytes(only) if isinstance(only, bytes) else None,
        seconds=reply.seconds,
        results=tuple(results),
    )


def read_group(reply: Reply, count: int) -> list[Answer]:
    """The answers to a group of so many objects, in their order."""
    if reply.broken or reply.status != 200:
        return [read_reply(reply)] * count
    found: dict[int, Answer] = {}
    end = 0
    while end < len(reply.body):
        head = decode_head(reply.body[end : end + HEAD_SIZE])
        start = end + HEAD_SIZE + head.headers_size
        headers = decode_headers(reply.body[end + HEAD_SIZE : start])
        end = start + head.body_size
        found[head.number] = read_reply(Reply(head.status, headers, reply.body[start:end], seconds=reply.seconds))
    return [found[number] for number in range(count)]


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
