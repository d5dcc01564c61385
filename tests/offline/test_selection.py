import pytest
from braceexpand import braceexpand
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import InvalidRequestError
from instore.offline.naming import Naming
from instore.offline.selection import Selection


@pytest.mark.parametrize(
    "template", ["a{1..3}", "shard-{0000..0012..5}.tar", "{0..2}{07..11}x{3..3}", "é{9..11}", "{00..99..33}/{1..2}"]
)
def test_a_template_stands_for_the_names_that_a_shell_would_make_of_it(template: str) -> None:
    selection = Selection.from_template(template)
    assert not selection.by_prefix
    assert not selection.must_exist
    assert list(selection.given()) == list(braceexpand(template))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 7))
def test_a_range_has_its_ends_and_its_steps(first: int, more: int, step: int) -> None:
    names = list(Selection.from_template(f"n{{{first}..{first + more}..{step}}}").given())
    assert names == [f"n{number}" for number in range(first, first + more + 1, step)]


def test_a_template_without_ranges_is_a_prefix() -> None:
    selection = Selection.from_template("x/y")
    assert selection.by_prefix
    assert selection.prefix == "x/y"


def test_a_list_is_what_it_says() -> None:
    selection = Selection.parse({"objnames": ["b", "a{1..2}"]})
    assert selection.must_exist
    assert list(selection.given()) == ["b", "a{1..2}"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"objnames": []},
        {"objnames": ["a"], "template": "b"},
        {"objnames": "a"},
        {"objnames": [""]},
        {"template": 7},
        {"template": "a{1..2"},
        {"template": "{3..1}"},
        {"template": "{1..3..0}"},
        {"template": "{a..c}"},
        {"template": "{0..99999}{0..99999}"},
    ],
)
def test_malformed_selections_are_refused(message: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        Selection.parse(message)


@pytest.mark.parametrize(
    ("message", "name", "expected"),
    [
        ({}, "a.b", "a.b"),
        ({"prepend": "x/"}, "a.b", "x/a.b"),
        ({"prepend": "x-", "ext": {"jpg": "png"}}, "d/a.jpg", "x-d/a.png"),
        ({"ext": {".jpg": ".png"}}, "a.b.jpg", "a.b.png"),
        ({"ext": {"jpg": "png"}}, "jpg", "jpg"),
        ({"ext": {"jpg": "png", "png": "gif"}}, "a.jpg", "a.png"),
        ({"prepend": None, "ext": None}, "a", "a"),
    ],
)
def test_new_names(message: dict[str, object], name: str, expected: str) -> None:
    assert Naming.from_message(message)(name) == expected


@pytest.mark.parametrize("message", [{"prepend": 7}, {"ext": "jpg:png"}, {"ext": {"jpg": 7}}])
def test_malformed_renamings_are_refused(message: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        Naming.from_message(message)
