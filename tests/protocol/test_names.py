"""Names and escapes (docs/protocol.md#names)."""

import re

import pytest
from hypothesis import assume, given

from instore.protocol.names import (
    PROVIDERS,
    Uname,
    escape_fqn,
    escape_path,
    escape_query,
    escape_segment,
    has_user,
    unescape,
    unescape_query,
    why_no_object_name,
    without_user,
)
from tests.protocol.wire import names, texts


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("ais/@#/photos/cat.jpg", "ais%2F@%23%2Fphotos%2Fcat.jpg"),
        ("a b+c", "a%20b%2Bc"),
        ("100%41.txt", "100%2541.txt"),
        ("é", "%C3%A9"),
        ("\udcff\0\n", "%FF%00%0A"),
        ("", ""),
    ],
)
def test_a_name_is_escaped_as_one_segment(name: str, segment: str) -> None:
    assert escape_segment(name) == segment


@pytest.mark.parametrize(
    ("path", "escaped"),
    [("b/a cat#1.jpg", "b/a%20cat%231.jpg"), ("ais/@#/b/o?x", "ais/@%23/b/o%3Fx"), ("b//o;p", "b//o%3Bp")],
)
def test_a_path_is_escaped_and_its_slashes_are_kept(path: str, escaped: str) -> None:
    assert escape_path(path) == escaped


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("100%2541.txt", "100%41.txt"),
        ("a+b", "a+b"),
        ("%2f%2F", "//"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("é%C3%A9", "éé"),
        ("%C3%28", "\udcc3("),
        ("%ED%A0%80", "\udced\udca0\udc80"),
    ],
)
def test_unescape_undoes_one_level_and_leaves_what_is_no_escape(escaped: str, text: str) -> None:
    assert unescape(escaped) == text


def test_a_plus_is_a_space_in_a_query_only() -> None:
    assert unescape_query("a+b%2Bc") == "a b+c"
    assert escape_query("a b+c") == "a+b%2Bc"
    assert unescape("a+b%2Bc") == "a+b+c"


@given(texts)
def test_every_text_survives_escape_and_unescape(text: str) -> None:
    assert unescape(escape_segment(text)) == text
    assert unescape(escape_path(text)) == text
    assert unescape_query(escape_query(text)) == text


@given(texts)
def test_an_escaped_segment_is_one_segment_of_plain_ascii(text: str) -> None:
    assert re.fullmatch(r"(?:[\w.~@-]|%[0-9A-F]{2})*", escape_segment(text), re.ASCII)


@given(texts)
def test_an_escaped_path_holds_no_query_and_no_fragment(text: str) -> None:
    assert re.fullmatch(r"(?:[\w.~@/-]|%[0-9A-F]{2})*", escape_path(text), re.ASCII)


@given(texts)
def test_an_escaped_query_value_is_one_value(text: str) -> None:
    assert re.fullmatch(r"(?:[\w.~+-]|%[0-9A-F]{2})*", escape_query(text), re.ASCII)


@given(texts)
def test_what_is_forwarded_is_escaped_exactly_once(text: str) -> None:
    wire = escape_segment(text)
    assert escape_segment(unescape(wire)) == wire


@given(texts)
def test_a_file_path_is_read_by_one_query_decoding_and_one_unescape(path: str) -> None:
    assert unescape(unescape_query(escape_fqn(path))) == path


def test_a_file_path_is_escaped_twice_over() -> None:
    assert escape_fqn("/m/%ob/100%41.txt") == "%252Fm%252F%2525ob%252F100%252541.txt"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("namespace", ["@#", "@uuid#", "@#ns", "@uuid#ns"])
@pytest.mark.parametrize("name", ["o", "a/b", "/a", "a/", "a\n%2F", "\udcff"])
def test_a_uname_has_four_parts(provider: str, namespace: str, name: str) -> None:
    text = f"{provider}/{namespace}/bucket/{name}"
    assert Uname.parse(text) == Uname(provider, namespace, "bucket", name)
    assert str(Uname.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "ais", "ais/@#/b", "ais/@#/b/", "ais/@#//o", "ais//b/o", "/@#/b/o", "s3/@#/b/o", "AIS/@#/b/o", "ais/b/o/p"],
)
def test_what_is_not_a_uname_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a uname"):
        Uname.parse(text)


@given(names, names, names)
def test_a_uname_is_the_same_text_after_parsing(namespace: str, bucket: str, name: str) -> None:
    assume("/" not in namespace + bucket)
    uname = Uname("ais", f"@{namespace}", bucket, name)
    assert Uname.parse(str(uname)) == uname


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b.txt", ""),
        ("bytes-\udcff", ""),
        ("\ud800", "it is not UTF-8"),
        ("a/" * 3000 + "a", "it is longer than"),
        ("a\0b", "it holds a NUL"),
        ("a//b", "a part between slashes is empty"),
        ("/a", "a part between slashes is empty"),
        ("a/../b", "a part between slashes is '..'"),
        ("a/" + "b" * 300, "a part between slashes is longer than"),
    ],
)
def test_what_no_file_can_be_called_is_said(name: str, reason: str) -> None:
    assert why_no_object_name(name).startswith(reason)
    assert bool(why_no_object_name(name)) == bool(reason)


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("http://me:secret@host:1/b/o", "http://host:1/b/o"),
        ("me@host/b/o", "host/b/o"),
        ("http://host:1/ais%2F@%23%2Fb%2Fo", "http://host:1/ais%2F@%23%2Fb%2Fo"),
        ("http://host/o?to=me@home", "http://host/o?to=me@home"),
    ],
)
def test_a_user_before_a_host_is_seen_and_left_out(url: str, bare: str) -> None:
    assert without_user(url) == bare
    assert has_user(url) is (url != bare)
