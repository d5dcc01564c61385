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
    GroupedObject,
    decode_group,
    decode_head,
    decode_headers,
    encode_answer,
    encode_group,
)
from instore.protocol.requests import ObjectRequest, SourceKind
from tests.protocol.wire import names, texts

OBJECT = ["b/o", "/f", "", False]

files = st.builds(GroupedObject, names, names, texts, st.booleans(), st.just(b""), st.just(""))
bodies = st.builds(GroupedObject, names, st.just(""), texts, st.booleans(), st.binary(), texts)


@given(st.lists(files | bodies, min_size=1, max_size=MOST_OBJECTS))
def test_any_objects_come_out_as_they_went_in(group: list[GroupedObject]) -> None:
    assert decode_group(encode_group(group)) == group


@given(files)
def test_an_object_with_a_file_is_asked_for_as_it_would_be_alone(one: GroupedObject) -> None:
    alone = ObjectRequest(one.path, SourceKind.FILE, one.fqn, one.etl_args.strip(), takes_results=one.takes_results)
    assert one.request == alone


@given(bodies)
def test_an_object_with_bytes_is_asked_for_as_it_would_be_alone(one: GroupedObject) -> None:
    alone = ObjectRequest(
        one.path,
        SourceKind.BODY,
        etl_args=one.etl_args.strip(),
        length=len(one.body),
        takes_results=one.takes_results,
    )
    assert one.request == alone


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
        (b'[["b/o", "/f", "", false, 1]]', "an object takes"),
        (b'[["b/o", 0, "", false, "", 1]]', "positional arguments"),
        (b'[["", "/f", "", false]]', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", "", "", false]]', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", "/f", 1, false]]', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", -1, "", false]]', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", true, "", false]]\nx', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", 1.0, "", false]]\nx', "a path, a file or a number of bytes, and arguments"),
        (b'[["b/o", 3, "", false]]', "it ends 3 bytes too early"),
        (b'[["b/o", 2, "", false], ["b/p", 2, "", false]]\nabc', "it ends 1 bytes too early"),
        (b'[["b/o", 2, "", false]]\nabc', "1 bytes are no object's"),
        (b'[["b/o", "/f", "", false]]\nabc', "3 bytes are no object's"),
        (rb'[["b/\ud800", "/f", "", false]]', "surrogates not allowed"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_a_group_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"this is not a group of objects: .*{reason}"):
        decode_group(body)


def test_a_file_whose_name_is_not_utf_8_keeps_its_bytes() -> None:
    (found,) = decode_group(encode_group([GroupedObject("b/\udcff", "/f\udcff")]))
    assert (found.path, found.fqn) == ("b/\udcff", "/f\udcff")
