"""What an answer means: the next hop's to us, and an ETL server's to the target.

`judge` (docs/protocol.md#the-next-hops-answer) and `read_response` (docs/protocol.md#answers) are tables. The kind of
hop decides what an empty 200 is: from a target "stored", from an ETL server an object that happens to be empty.
"""

from collections.abc import Sequence
from enum import Enum

from instore.protocol.headers import RETRY_DIRECT_PUT_TRANSIENT
from instore.protocol.pipeline import Hop

LONGEST_ERROR = 64 << 10
"""Bytes of an error's text at most; what comes behind them is dropped."""
_FRAME = "\n  at "  # before each place in the user's code


def error_text(body: bytes) -> str:
    """The text of an answer that is an error."""
    return body[:LONGEST_ERROR].decode(errors="replace").strip()


def with_frames(sentence: str, frames: Sequence[str]) -> str:
    """An error's text: its sentence, and the places in the user's code that it comes from, the innermost last."""
    return "".join([sentence, *(_FRAME + frame for frame in frames)])


def split_frames(text: str) -> tuple[str, list[str]]:
    """The sentence of an error's text, and the places behind it."""
    sentence, *frames = text.split(_FRAME)
    return sentence, frames


class NextHopOutcome(Enum):
    """What we answer in turn."""

    DELIVERED = "204, with the number of bytes we sent"
    PASSED_ON = "204, with the number of bytes the next hop reports"
    CONTENT = "the next hop's status and its body: the object"
    FAILED = "the next hop's status and its body: an error"
    UNEXPECTED = "502: an answer that no next hop should give"


_OUTCOMES: dict[tuple[Hop, int, bool], NextHopOutcome] = {
    # (kind of hop, its status, has it a body)
    (Hop.TARGET, 200, False): NextHopOutcome.DELIVERED,
    (Hop.TARGET, 204, False): NextHopOutcome.PASSED_ON,
    (Hop.ETL, 204, False): NextHopOutcome.PASSED_ON,
    (Hop.ETL, 200, True): NextHopOutcome.CONTENT,
    (Hop.ETL, 200, False): NextHopOutcome.CONTENT,
    (Hop.ETL, 202, True): NextHopOutcome.CONTENT,
    (Hop.ETL, 202, False): NextHopOutcome.CONTENT,
}


def judge(hop: Hop, status: int, has_body: bool) -> NextHopOutcome:
    """The meaning of a next hop's complete answer.

    A status below 400 that the table does not list (a redirect, a target's 200 with a body) would be read as content
    or as success by the caller, and is neither: `UNEXPECTED`.
    """
    if status >= 400:
        return NextHopOutcome.FAILED
    return _OUTCOMES.get((hop, status, has_body), NextHopOutcome.UNEXPECTED)


class ResponseMeaning(Enum):
    """What an ETL server's answer is to the target."""

    OBJECT = "the body is the object"
    DELIVERED = "the object is where it was to go"
    REPLAY = "send it again: what failed may pass, and only the target has the object's bytes"
    ERROR = "the body says why there is no object"
    UNEXPECTED = "a status that no ETL server should give"


_READINGS = {200: ResponseMeaning.OBJECT, 202: ResponseMeaning.OBJECT, 204: ResponseMeaning.DELIVERED}


def read_response(status: int, retry_reason: str = "") -> ResponseMeaning:
    """The meaning of an ETL server's answer to the target, by its status and its `Ais-Etl-Retry-Reason`."""
    if status == 503 and retry_reason == RETRY_DIRECT_PUT_TRANSIENT:
        return ResponseMeaning.REPLAY
    if status >= 400:
        return ResponseMeaning.ERROR
    return _READINGS.get(status, ResponseMeaning.UNEXPECTED)
