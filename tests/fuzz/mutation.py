"""Inputs for fuzzers: those of the corpus, changed in the ways that bytes get changed."""

import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = "FUZZ_EXAMPLES"
_FEW = 60
_WORDS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0\r\n\r\n", b"-1", b"18446744073709551616", b"chunked",
    b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"HTTP/1.1",
    b"\xff", b"\xc3\xa4", b"%", b"%00",
    b"{", b"}", b"[", b"\"", b"\\u0000", b"\x82\x80", b"\x88\x82", b"..", b"/", b"#", b"?",
)  # fmt: skip


def fuzzed(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property on so many inputs as `FUZZ_EXAMPLES` says, a few by default."""
    examples = int(os.environ.get(EXAMPLES, _FEW))
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(test)


@functools.cache
def corpus(kind: str) -> tuple[bytes, ...]:
    """All inputs of a kind."""
    return tuple(path.read_bytes() for path in sorted((CORPUS / kind).iterdir()))


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> bytes:
    """An input of the corpus, as it is or changed in up to six places."""
    data = draw(st.sampled_from(corpus(kind)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + draw(_replacement(kind, data[start:end])) + data[end:]
    return data


def _replacement(kind: str, there: bytes) -> st.SearchStrategy[bytes]:
    others: list[Any] = [
        st.just(b""),
        st.just(there * 2),
        st.binary(max_size=4),
        st.sampled_from(_WORDS),
        st.sampled_from(corpus(kind)),
    ]
    return st.one_of(others)


@st.composite
def pieces(draw: st.DrawFn, kind: str) -> tuple[bytes, list[bytes]]:
    """An input, and the same cut into pieces."""
    data = draw(mutated(kind))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    bounds = [0, *places, len(data)]
    return data, [data[start:end] for start, end in itertools.pairwise(bounds) if end > start]
