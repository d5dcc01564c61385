"""Strings as they may come from the wire: any bytes at all, and those that mean something to a URL."""

from hypothesis import strategies as st

_ESCAPES = ["%", "%25", "%2F", "%2f", "%00", "%ff", "%zz"]
_PARTS = ["/", "//", ".", "..", "/../", "?", "#", "@", ":", ";", ",", "&", "+", "=", "[", "]"]
_TEXTS = ["a", "b", "é", "日本", "🐈", "\udcff", "'", '"', "{", "}", "\\", " ", "\t", "\n", "\r\n", "\0"]

_bytes = st.binary(max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape"))
_hostile = st.lists(st.sampled_from([*_ESCAPES, *_PARTS, *_TEXTS]), max_size=12).map("".join)

texts = st.one_of(_bytes, _hostile, st.text(max_size=30))
"""Any text that can come of bytes, bytes that are not UTF-8 included."""

names = texts.filter(bool)
"""The same, not empty."""
