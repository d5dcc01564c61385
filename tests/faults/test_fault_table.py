"""Every row of the fault table: what a target concludes from the answer is the truth."""

import urllib.request
from collections.abc import Iterator

import pytest

from tests.faults.bench import TOKEN, Bench, Happened, data_of, right_end, right_result
from tests.faults.doors import PUT, WS, Conclusion, Kind, Order, Source
from tests.faults.table import ROWS, Expected, Hop, Must, Row
from tests.faults.transforms import made_of
from tests.support.servers import SECRET, Server

_NEVER_SAID = (SECRET.encode(), TOKEN.encode(), b"Traceback", b'File "')


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(row: Row, bench: Bench) -> None:
    happened = bench.run(row)
    wrong = [*_wrong_conclusion(row, happened), *_wrong_objects(row, happened), *_unfit(happened.server, row)]
    assert not wrong, "; ".join([*wrong, f"{happened.conclusion}"[:600]])


def _wrong_conclusion(row: Row, happened: Happened) -> Iterator[str]:
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


def _wrong_objects(row: Row, happened: Happened) -> Iterator[str]:
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


def _unfit(server: Server, row: Row) -> Iterator[str]:
    """The server goes on, whatever it went through."""
    with urllib.request.urlopen(f"{server.url}/health") as answer:
        if answer.read() != b"Running":
            yield "the server is not healthy any more"
    after = PUT.ask(server, Order(f"after-{row.id}", Source.BODY, data_of(1000)))
    if (after.kind, after.body) != (Kind.CONTENT, made_of(data_of(1000))):
        yield f"the object after it came to nothing: {after}"
