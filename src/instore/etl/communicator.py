"""What a target asks of an ETL server, by whatever communication: one object, transformed.

A `TransformRequest` goes out; a `TransformResponse` comes back with the object, or None where it is delivered already.
Everything else is an error: `AnswerError` if the server said so, `IncompleteAnswerError` if its answer broke off, never
came, or said that the object is to be sent again. `Skip` is what the transform itself raised.
"""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol

from instore.http.bodies import Stream

PIECE = 1 << 20
"""Bytes at which a piece of a body is handed on."""


class TransformRequest(NamedTuple):
    """One object that is to be transformed.

    Attributes:
        path: `<bucket>/<object>`, decoded.
        fqn: path of its file; empty if its bytes go along, or are fetched.
        etl_args: the request's arguments.
        uname: its cluster-wide name, for a server that fetches it.
        pipeline: where the result goes; empty: it is the answer.
        delivers: the pipeline ends at a target, so that there is no object in the answer.
        body: opens the object's bytes, again for each try, where no file is named.
        takes_results: the answer may be results in frames, also where one result would be delivered.
        is_small: it may be asked for together with others.
        seconds: that it may take from its turn on; 0: as many as it takes.
    """

    path: str
    fqn: str = ""
    etl_args: str = ""
    uname: str = ""
    pipeline: str = ""
    delivers: bool = False
    body: Callable[[], Stream] | None = None
    takes_results: bool = False
    seconds: float = 0
    is_small: bool = False


class TransformResponse(Protocol):
    """An object on its way from an ETL server.

    Attributes:
        content_type: what the server says it is.
        length: its bytes, where they are announced.
    """

    content_type: str
    length: int | None

    def pieces(self) -> AsyncIterator[bytes]:
        """The object, in pieces of about `PIECE` bytes: a small one is one piece, an empty one none."""

    async def close(self) -> None:
        """Be done with it, read to the end or not."""


class Communicator(Protocol):
    """A way to talk to one ETL server."""

    async def send(self, request: TransformRequest) -> TransformResponse | None:
        """Have one object transformed.

        Raises:
            Skip: the transform has skipped it.
        """

    async def close(self) -> None:
        """Close every connection."""
