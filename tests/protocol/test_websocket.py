"""WebSocket control messages (docs/protocol.md#websocket)."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import InvalidPipelineError, MalformedControlError
from instore.protocol.names import escape_segment
from instore.protocol.requests import ObjectRequest, SourceKind
from instore.protocol.websocket import REASON_LIMIT, close_reason, parse_control, write_control

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_what_is_absent_is_empty_and_the_body_follows() -> None:
    assert parse_control(b"{}") == ObjectRequest(path="", origin=SourceKind.BODY)


def test_null_and_empty_count_as_absent() -> None:
    assert parse_control(b'{"path": "x", "fqn": null, "pipeline": "", "more": 1}') == ObjectRequest(
        "x", SourceKind.BODY
    )


@given(path=TEXT, args=TEXT)
def test_path_and_arguments_are_taken_as_they_are(path: str, args: str) -> None:
    request = parse_control(json.dumps({"path": path, "etl_args": args}).encode())
    assert (request.path, request.etl_args) == (path.removeprefix("/"), args.strip())


@given(path=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_files_path_is_unescaped_once(path: str) -> None:
    request = parse_control(json.dumps({"path": "x", "fqn": escape_segment(path)}).encode())
    assert (request.origin, request.fqn) == (SourceKind.FILE, path)


def test_a_pipeline_is_split() -> None:
    request = parse_control(b'{"path": "x", "pipeline": "http://a:1, http://b:2/x?y=1,http://c:3"}')
    assert (request.next_url, request.pipeline) == ("http://a:1", "http://b:2/x?y=1,http://c:3")


def test_an_empty_entry_of_a_pipeline_is_an_error() -> None:
    with pytest.raises(InvalidPipelineError):
        parse_control(b'{"path": "x", "pipeline": "http://a:1,,http://b:2"}')


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", 1007),
        (b"{", 1007),
        (b"\xff", 1007),
        (b'{"path": "\\ud800"}', 1007),
        (b"[" * 100_000, 1007),
        (b"[]", 1008),
        (b'"path"', 1008),
        (b"null", 1008),
        (b'{"path": 1}', 1008),
        (b'{"fqn": ["/x"]}', 1008),
        (b'{"etl_args": {"a": 1}}', 1008),
        (b'{"pipeline": true}', 1008),
    ],
)
def test_what_is_no_control_message_says_what_came(message: bytes, code: int) -> None:
    with pytest.raises(MalformedControlError) as error:
        parse_control(message)
    assert error.value.code == code
    assert repr(message[:80]) in str(error.value)


@given(st.binary())
def test_any_bytes_are_a_request_or_an_error_of_ours(message: bytes) -> None:
    with contextlib.suppress(MalformedControlError, InvalidPipelineError):
        assert isinstance(parse_control(message), ObjectRequest)


@given(st.text())
def test_a_reason_fits_and_is_the_beginning_of_the_sentence(sentence: str) -> None:
    reason = close_reason(sentence)
    assert len(reason.encode()) <= REASON_LIMIT
    assert sentence.encode(errors="replace").startswith(reason.encode())


def test_what_is_empty_is_left_out_of_a_control_message() -> None:
    assert write_control("b/o") == b'{"path": "b/o"}'


@given(TEXT.filter(lambda path: not path.startswith("/")), TEXT, TEXT)
def test_a_control_message_is_understood_as_it_was_meant(path: str, fqn: str, etl_args: str) -> None:
    request = parse_control(write_control(path, fqn, etl_args, "http://a:1,http://b:2/x"))
    assert (request.path, request.fqn, request.etl_args) == (path, fqn, etl_args.strip())
    assert (request.next_url, request.pipeline) == ("http://a:1", "http://b:2/x")
