"""Names and escapes: unames, object paths and file paths as they stand on the wire (docs/protocol.md#names).

Bytes that are not UTF-8 travel through `str` as surrogates (`surrogateescape`) and come out as they went in.
"""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_ERRORS = "surrogateescape"
_LONGEST_NAME = 1024  # bytes
_LONGEST_SEGMENT = 255  # bytes; what Linux file systems take
_USER = re.compile(r"^([^/?#]*//|)[^/?#]*@")
_UNRESERVED = string.ascii_letters + string.digits + "-._~"

PROVIDERS = ("ais", "aws", "gcp", "azure", "oci", "ht")


_ESCAPED = {byte: f"%{byte:02X}" for byte in range(256)} | {ord(char): char for char in _UNRESERVED}
_IN_SEGMENT = _ESCAPED | {ord("@"): "@"}
_IN_PATH = _IN_SEGMENT | {ord("/"): "/"}
_IN_QUERY = _ESCAPED | {ord(" "): "+"}


def escape_segment(name: str) -> str:
    """Escape `name` as one path segment: `ais/@#/photos/cat.jpg` -> `ais%2F@%23%2Fphotos%2Fcat.jpg`."""
    return _escaped(name, _IN_SEGMENT)


def escape_path(path: str) -> str:
    """Escape an object's path, slashes kept: `b/a cat#1.jpg` -> `b/a%20cat%231.jpg`."""
    return _escaped(path, _IN_PATH)


def unescape(text: str) -> str:
    """Undo one level of path escaping. A `+` stays a `+`; a `%` that starts no escape stays."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode(errors=_ERRORS)).decode(errors=_ERRORS)


def escape_query(value: str) -> str:
    """Encode a query value; a space becomes `+`."""
    return _escaped(value, _IN_QUERY)


def unescape_query(value: str) -> str:
    """Undo one level of query encoding; a `+` is a space."""
    return unescape(value.replace("+", " "))


def escape_fqn(path: str) -> str:
    """Encode a file's path for the query: path-escaped, and then query-encoded."""
    return escape_query(escape_segment(path))


def _escaped(text: str, table: Mapping[int, str]) -> str:
    """Each byte of `text` as the table has it. (One pass in C; `urllib.parse.quote` takes three times as long.)"""
    return text.encode(errors=_ERRORS).decode("latin-1").translate(table)


@dataclass(frozen=True, slots=True)
class Uname:
    """A cluster-wide object name, `<provider>/<namespace>/<bucket>/<object>`.

    Attributes:
        provider: one of `PROVIDERS`.
        namespace: `@#` for the global one, else `@<cluster>#<name>`.
        bucket: the bucket's name, without a slash.
        object: the object's name; slashes allowed.
    """

    provider: str
    namespace: str
    bucket: str
    object: str

    @classmethod
    def parse(cls, text: str) -> "Uname":
        """Split an unescaped uname."""
        parts = text.split("/", 3)
        if len(parts) != 4 or not all(parts) or parts[0] not in PROVIDERS or not parts[1].startswith("@"):
            raise ValueError(f"not a uname: {text!r}; expected <provider>/@<namespace>/<bucket>/<object>")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.provider}/{self.namespace}/{self.bucket}/{self.object}"


def has_user(url: str) -> bool:
    """Whether a user's name or password stands before the host of a URL."""
    return _USER.match(url) is not None


def without_user(url: str) -> str:
    """A URL without the user's name and password before its host."""
    return _USER.sub(r"\1", url)


def why_no_object_name(name: str) -> str:
    """Why `name` can't be an object's file below a folder; empty if it can, also with bytes that are not UTF-8."""
    try:
        encoded = name.encode(errors=_ERRORS)
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if len(encoded) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} bytes"
    if b"\0" in encoded:
        return "it holds a NUL"
    for segment in encoded.split(b"/"):
        if segment in (b"", b".", b".."):
            return f"a part between slashes is {segment.decode()!r}" if segment else "a part between slashes is empty"
        if len(segment) > _LONGEST_SEGMENT:
            return f"a part between slashes is longer than {_LONGEST_SEGMENT} bytes"
    return ""
