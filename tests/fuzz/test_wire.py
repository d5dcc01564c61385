"""Rubbish on the wire: no parser of it raises what it should not, and none cares how its bytes were cut."""

import contextlib
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from instore.errors import InstoreError, status_of
from instore.http.connections import BrokenExchangeError
from instore.node.api.objects import parse_range
from instore.protocol.etl_spec import ETLSpec
from instore.protocol.object_groups import decode_group
from instore.protocol.requests import METHODS, parse_download, parse_request
from instore.protocol.websocket import parse_control
from tests.fuzz.mutation import corpus, fuzzed, mutated, pieces
from tests.http.edge import App, Edge, with_edge
from tests.http.test_connections import Peer, with_peer
from tests.http.test_websocket_connection import Receiver, with_websocket

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n((?:[!-9;-~]+: [^\r\n]*\r\n)*)\r\n")


@pytest.fixture(autouse=True)
def _no_errors(caplog: pytest.LogCaptureFixture) -> Any:
    """What nobody expected is logged with its stack; here that is a failure."""
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@fuzzed
@given(pieces("requests"))
def test_a_connection_answers_the_same_however_its_bytes_come(request: tuple[bytes, list[bytes]]) -> None:
    whole, cut = request
    assert on_the_edge([whole]) == on_the_edge(cut)


def on_the_edge(came: list[bytes]) -> tuple[bytes, list[bytes], bool]:
    """What was answered, the bodies that were taken for whole, and whether the connection was ended."""
    app = App()
    seen: list[Any] = []

    async def test(edge: Edge) -> None:
        answers = (await edge.send(*came)).replace(_CONTINUE, b"")  # which depends on what has come by then
        check_answers(answers)
        seen.extend((answers, app.bodies, edge.transport.closed or edge.transport.ended))
        await edge.lose()

    with_edge(test, app)
    return seen[0], seen[1], seen[2]


def check_answers(answers: bytes) -> None:
    """Each is framed as HTTP says."""
    while answers:
        found = _ANSWER.match(answers)
        assert found is not None, answers
        answers = answers[found.end() :]
        length = re.search(rb"content-length: (\d+)\r\n", found[2])
        if length is not None and answers and not answers.startswith(b"HTTP/1.1 "):  # as behind HEAD
            assert len(answers) >= int(length[1])
            answers = answers[int(length[1]) :]


@fuzzed
@given(pieces("frames"))
def test_a_websocket_has_the_same_messages_however_their_bytes_come(frames: tuple[bytes, list[bytes]]) -> None:
    whole, cut = frames
    assert over_a_websocket([whole]) == over_a_websocket(cut)


def over_a_websocket(came: list[bytes]) -> tuple[list[tuple[bytes, bool]], bytes]:
    """The messages that came, and what was answered."""
    seen: list[Any] = []

    async def test(edge: Edge, receiver: Receiver) -> None:
        answers = await edge.send(*came)
        seen.extend((receiver.messages, answers))
        await edge.lose()

    with_websocket(test)
    return seen[0], seen[1]


@fuzzed
@given(pieces("answers"))
def test_an_answer_is_whole_or_broken_however_its_bytes_come(answer: tuple[bytes, list[bytes]]) -> None:
    whole, cut = answer
    assert from_a_peer([whole]) == from_a_peer(cut)


def from_a_peer(came: list[bytes]) -> tuple[int, bytes] | None:
    """Status and body, or nothing where the answer broke off."""
    seen: list[tuple[int, bytes] | None] = []

    async def test(peer: Peer) -> None:
        with contextlib.suppress(BrokenExchangeError):
            body = await peer.answer(*came)
            seen.append((peer.connection.status, body))

    with_peer(test)
    return seen[0] if seen else None


def refuses_or_takes(parse: Callable[..., object], *arguments: object) -> None:
    """It takes them, or says what is wrong with them: a fault of the client's."""
    error = None
    try:
        parse(*arguments)
    except InstoreError as refusal:
        error = refusal
    assert error is None or (400 <= status_of(error) < 500 and str(error))


@fuzzed
@given(mutated("control"))
def test_a_control_message_is_taken_or_refused(message: bytes) -> None:
    refuses_or_takes(parse_control, message)


@fuzzed
@given(mutated("groups"))
def test_a_group_of_objects_is_taken_or_refused(body: bytes) -> None:
    refuses_or_takes(decode_group, body)


@fuzzed
@given(mutated("queries"))
def test_a_request_is_taken_or_refused(target: bytes) -> None:
    path, _, query = target.partition(b"?")
    texts = path.decode(errors="surrogateescape"), query.decode(errors="surrogateescape")
    headers = [(b"ais-node-url", target), (b"content-length", b"3")]
    for method in METHODS:
        refuses_or_takes(parse_request, method, *texts, headers)
    refuses_or_takes(parse_download, texts[1], headers)


@fuzzed
@given(mutated("specs"))
def test_a_message_that_makes_an_etl_is_taken_or_refused(message: bytes) -> None:
    try:
        parsed = json.loads(message)
    except (ValueError, RecursionError):
        return
    refuses_or_takes(ETLSpec.parse, parsed)


@fuzzed
@given(mutated("ranges"))
def test_a_range_is_taken_or_refused(wanted: bytes) -> None:
    refuses_or_takes(parse_range, wanted.decode("latin-1"), 10)


def test_every_kind_of_the_corpus_is_read_as_it_is() -> None:
    """The seeds are what they are named for: some are answered, some refused."""
    statuses = {on_the_edge([seed])[0][9:12] for seed in corpus("requests")}
    assert {b"200", b"400", b"403"} <= statuses
