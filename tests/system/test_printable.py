import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.system.printable import printable


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a cat.jpg", "a cat.jpg"),
        ("日本 ü", "日本 ü"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bytes-\udcff", "bytes-\\xff"),
        ("right-to-left \u202e", "right-to-left \\u202e"),
    ],
)
def test_what_a_terminal_would_stumble_over_is_escaped(text: str, printed: str) -> None:
    assert printable(text) == printed


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_anything_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()
