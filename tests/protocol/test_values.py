import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.protocol.values import parse_flag, parse_json


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        *((text, True) for text in ("true", " Yes\n", "ON", "1", "t", "y")),
        *((text, False) for text in ("false", "No", "off", "0", "f", "n")),
        *((text, None) for text in ("", "maybe", "2", "truely")),
    ],
)
def test_a_flag_says_yes_no_or_neither(text: str, flag: bool | None) -> None:
    assert parse_flag(text) is flag


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS)), st.booleans())
def test_json_is_read_escaped_or_not(value: object, escaped: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'"\xff"',
        b'"\\ud800"',
        b'{"\\uDC00": 1}',
        b'"\\ude00\\ud83d"',
        b"[" * 100_000 + b"]" * 100_000,
        '"text"'.encode("utf-16"),
    ],
)
def test_what_is_not_json_of_texts_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # json has one of its own, and so has UTF-8
        parse_json(data)
