"""Groups of objects and their answers (docs/protocol.md#objects-in-groups)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import InvalidRequestError
from instore.protocol.object_groups import (
    HEAD_SIZE,
    MOST_OBJECTS,
    AnswerHead,
    decode_group,
    decode_head,
    decode_headers,
    encode_answer,
    encode_group,
)
from instore.protocol.requests import ObjectRequest, SourceKind
from tests.protocol.wire import names, texts

OBJECT = ["b/o", "/f", "", False]

objects = st.tuples(names, names, texts.map(str.strip), st.booleans())


@given(st.lists(objects, min_size=1, max_size=MOST_OBJECTS))
def test_any_objects_come_out_as_they_went_in(group: list[tuple[str, str, str, bool]]) -> None:
    expected = [
        ObjectRequest(path, SourceKind.FILE, fqn, args, takes_results=takes) for path, fqn, args, takes in group
    ]
    assert decode_group(encode_group(group)) == expected


@given(
    st.integers(0, MOST_OBJECTS - 1),
    st.integers(200, 599),
    st.dictionaries(st.binary(max_size=9), st.binary(max_size=9)),
    st.integers(0, 1 << 60),
)
def test_any_answer_comes_out_as_it_went_in(number: int, status: int, headers: dict[bytes, bytes], size: int) -> None:
    data = encode_answer(number, status, headers.items(), size)
    text = data[HEAD_SIZE:]
    assert decode_head(data[:HEAD_SIZE]) == AnswerHead(number, status, len(text), size)
    assert decode_headers(text) == {a.decode("latin-1"): b.decode("latin-1") for a, b in headers.items()}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff", "can't decode"),
        (b"{}", "an array of 1 to 64 objects"),
        (b"[]", "an array of 1 to 64 objects"),
        (json.dumps([OBJECT] * (MOST_OBJECTS + 1)).encode(), "an array of 1 to 64 objects"),
        (b"[1]", "iterable"),
        (b'[["b/o", "/f"]]', "missing"),
        (b'[["b/o", "/f", "", false, 1]]', "takes"),
        (b'[["", "/f", "", false]]', "a path, a file and arguments"),
        (b'[["b/o", "", "", false]]', "a path, a file and arguments"),
        (b'[["b/o", "/f", 1, false]]', "a path, a file and arguments"),
        (rb'[["b/\ud800", "/f", "", false]]', "surrogates not allowed"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_a_group_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"this is not a group of objects: .*{reason}"):
        decode_group(body)


def test_a_file_whose_name_is_not_utf_8_keeps_its_bytes() -> None:
    (found,) = decode_group(encode_group([("b/\udcff", "/f\udcff", "", False)]))
    assert (found.path, found.fqn) == ("b/\udcff", "/f\udcff")
