"""What is false about what came of a row."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.bench import TOKEN, Happened, right_end, right_result
from tests.faults.doors import WS, Conclusion, Kind
from tests.faults.table import Expected, Hop, Must, Row
from tests.support.servers import SECRET

_NEVER_SAID = (SECRET.encode(), TOKEN.encode(), b"Traceback", b'File "')


def wrong_conclusion(row: Row, happened: Happened) -> Iterator[str]:
    """What is false about the target's conclusion, or is not what has to come of the row."""
    conclusion = happened.conclusion
    match row.expected.must, conclusion.kind:
        case Must.SUCCEED, Kind.ERROR:
            yield "an error, and nothing was wrong"
        case Must.FAIL, Kind.CONTENT | Kind.DELIVERED:
            yield "no error, and something was wrong"
    match conclusion.kind:
        case Kind.CONTENT:
            yield from _wrong_content(row, conclusion)
        case Kind.DELIVERED:
            yield from _wrong_delivery(row, happened)
        case Kind.ERROR:
            yield from _wrong_error(row, conclusion)
    behaved = row.next_behaviour or row.pull_behaviour
    if behaved is not None and row.expected.must is not Must.SUCCEED and not happened.peer.fired(happened.name):
        yield "the fault never came to pass"


def _wrong_content(row: Row, conclusion: Conclusion) -> Iterator[str]:
    if row.hop not in (Hop.NONE, Hop.STAGE):
        yield "content, where it was to be delivered"
    if conclusion.body != right_end(row):
        yield f"the content is wrong: {len(conclusion.body)} bytes"


def _wrong_delivery(row: Row, happened: Happened) -> Iterator[str]:
    right, stored = right_end(row), happened.peer.stored(happened.name)
    if not stored or stored[-1] != right:
        yield f"said to be delivered; stored are {[len(data) for data in stored]} bytes"
    if row.door is WS:
        announced: str | None = str(len(right or b""))
    else:
        announced = str(len(right)) if right else None
    if happened.conclusion.length != announced:
        yield f"Ais-Direct-Put-Length is {happened.conclusion.length}, not {announced}"


def _wrong_error(row: Row, conclusion: Conclusion) -> Iterator[str]:
    if conclusion.status is None:
        yield from _wrong_reason(row, conclusion)
    else:
        yield from _wrong_status(row.expected, conclusion)
    yield from (f"the error says {word!r}" for word in _NEVER_SAID if word in conclusion.body)


def _wrong_reason(row: Row, conclusion: Conclusion) -> Iterator[str]:
    """Over WebSocket an error is a text and no more; what a close can't hold of it is cut off."""
    if not conclusion.body:
        yield "an error without a reason"
    if row.expected.body and not row.expected.body.startswith(conclusion.body):
        yield "the next hop's text was not passed on"


def _wrong_status(expected: Expected, conclusion: Conclusion) -> Iterator[str]:
    if expected.statuses and conclusion.status not in expected.statuses:
        yield f"status {conclusion.status}, not {expected.statuses}"
    replay = conclusion.retry == "direct-put-transient"
    if expected.statuses and replay is not expected.retry:
        yield f"the target is {'' if replay else 'not '}told to replay"
    if replay and conclusion.status != 503:
        yield "told to replay, with another status than 503"
    if expected.body is not None and conclusion.body != expected.body:
        yield "the next hop's text was not passed on"
    if expected.body is None and conclusion.status and not conclusion.body:
        yield "an error without a reason"


def wrong_objects(row: Row, happened: Happened) -> Iterator[str]:
    """Whatever the answer: no part of an object is taken for an object anywhere."""
    right = right_end(row)
    for data in happened.peer.stored(happened.name):
        if data != right:
            yield f"a wrong object is stored: {len(data)} bytes"
    for put in happened.peer.received(happened.name):
        if put.complete and row.hop is not Hop.SERVER_TARGET and bytes(put.body) != right_result(row):
            yield f"a wrong object was sent on: {len(put.body)} bytes"
        if put.headers.get("authorization") != f"Bearer {TOKEN}":
            yield "a request without the token"
        if ("ais-node-url" in put.headers) is not (row.hop is Hop.STAGE_TARGET):
            yield "the rest of the pipeline did not travel on"


# The truth alone, for servers that word their errors in their own way.


class Harm(StrEnum):
    """What a false conclusion does."""

    LOST = "lost or damaged in silence"
    STORED = "a wrong object is stored"
    GROUNDLESS = "a success that nobody confirmed"
    NEEDLESS = "fails without need"
    HANGS = "no answer"
    UNREADABLE = "an answer without a meaning"
    FOREIGN = "a file that is no object is served"


@dataclass(frozen=True)
class Finding:
    """Where a row disagrees with the truth.

    Attributes:
        harm: of which kind.
        said: what the target concludes.
        true: what is so.
    """

    harm: Harm
    said: str
    true: str


_FOREIGN = ("symlink_out", "folder_symlink_out", "outside", "work_file", "relative", "dots", "environment")


def untruth(row: Row, happened: Happened) -> Finding | None:
    """What is false about the conclusion; how an error is told, and with which status, does not matter."""
    said = said_of(happened.conclusion)
    match happened.conclusion.kind:
        case Kind.ERROR if row.expected.must is Must.SUCCEED:
            return Finding(Harm.NEEDLESS, said, "nothing is wrong with the object")
        case Kind.CONTENT | Kind.DELIVERED if row.file in _FOREIGN:
            return Finding(Harm.FOREIGN, said, "the file belongs to no object")
        case Kind.CONTENT | Kind.DELIVERED:
            return _untrue_success(row, happened, said)
    return _untrue_store(row, happened, said)


def _untrue_success(row: Row, happened: Happened, said: str) -> Finding | None:
    right, conclusion = right_end(row), happened.conclusion
    stored = happened.peer.stored(happened.name)
    if conclusion.kind is Kind.CONTENT and conclusion.body != right:
        return Finding(Harm.LOST, said, _wanted(right))
    if conclusion.kind is Kind.DELIVERED and (not stored or stored[-1] != right):
        there = f"stored: {len(stored[-1])} bytes" if stored else "nothing is stored"
        return Finding(Harm.LOST, said, f"{there}; {_wanted(right)}")
    if refused := _refused_with(row, happened):
        return Finding(Harm.LOST, said, f"the next hop has answered {refused}")
    if row.expected.must is Must.FAIL and happened.peer.fired(happened.name):
        return Finding(Harm.GROUNDLESS, said, "the next hop's answer confirms no object")
    return _untrue_store(row, happened, said)


def _refused_with(row: Row, happened: Happened) -> int | None:
    """The status of a next hop that has told of its failure, in full; None: there is none."""
    say = row.next_behaviour.say if row.next_behaviour is not None else None
    told = say is not None and say.raw is None and not say.extra and row.expected.must is Must.FAIL
    return say.status if say is not None and told and say.status >= 400 and happened.peer.fired(row.id) else None


def _untrue_store(row: Row, happened: Happened, said: str) -> Finding | None:
    right = right_end(row)
    for data in happened.peer.stored(happened.name):
        if data != right:
            return Finding(Harm.STORED, said, f"stored: {len(data)} bytes; {_wanted(right)}")
    return None


def _wanted(right: bytes | None) -> str:
    return "there is no result" if right is None else f"the result has {len(right)} bytes"


def said_of(conclusion: Conclusion) -> str:
    """The conclusion in short."""
    status = "" if conclusion.status is None else f" ({conclusion.status or 'broken answer'})"
    match conclusion.kind:
        case Kind.CONTENT:
            return f"content of {len(conclusion.body)} bytes{status}"
        case Kind.DELIVERED:
            return f"delivered{status}"
        case Kind.ERROR:
            return f"an error{status}"
        case Kind.LEFT:
            return "nobody was there to conclude"
