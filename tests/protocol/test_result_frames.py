"""Results in frames (docs/protocol.md#results-in-frames)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.protocol.result_frames import END, PREFIX_SIZE, ResultHead, decode_head, encode_head, split_results
from tests.protocol.wire import texts

HEAD = ResultHead("a/b.txt", "text/plain", {"lines": "2"}, 3, True)
BODY = encode_head(HEAD) + b"one" + END


def framed(*results: tuple[ResultHead, bytes]) -> bytes:
    return b"".join(encode_head(head) + data for head, data in results) + END


@given(st.lists(st.tuples(texts, st.dictionaries(texts, texts, max_size=2), st.binary(max_size=20), st.booleans())))
def test_any_results_come_out_as_they_went_in(made: list[tuple[str, dict[str, str], bytes, bool]]) -> None:
    results = [(ResultHead(name, "a/b", metadata, len(data), only), data) for name, metadata, data, only in made]
    assert list(split_results(framed(*results))) == results


@pytest.mark.parametrize("length", range(len(BODY)))
def test_a_part_is_never_the_whole(length: int) -> None:
    with pytest.raises(ValueError, match="too early"):
        list(split_results(BODY[:length]))


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes behind the end"):
        list(split_results(BODY + b"x"))


def test_a_head_of_any_length_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="a head of 4294967295 bytes"):
        list(split_results(b"\xff" * PREFIX_SIZE))


@pytest.mark.parametrize(
    "changed",
    [{"name": 1}, {"content_type": None}, {"metadata": []}, {"metadata": {"a": 1}}, {"size": "3"}, {"size": -1}],
    ids=str,
)
def test_a_head_with_what_is_none_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a head with"):
        decode_head(json.dumps({**HEAD._asdict(), **changed}).encode())


@pytest.mark.parametrize("text", [b"[]", b'{"name": ""}', b"no JSON", b"\xff"])
def test_what_is_no_head_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_head(text)
