"""hpush by file path: an ETL server is told where an object's file lies, and answers with the result (section 3)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp
from yarl import URL

from instore.errors import AnswerError, IncompleteAnswerError
from instore.protocol.headers import QUERY_ARGS, QUERY_FQN
from instore.protocol.names import escape_fqn, escape_path, escape_query

Result = TypeVar("Result")

PIECE = 1 << 20
"""Bytes at which a piece of a body is handed on."""

_OBJECT = (200, 202)
_LONGEST_ERROR = 64 << 10
_LONGEST_LINE = 64 << 10

# What aiohttp would say of itself: nobody asks for it, and Accept-Encoding would invite a compressed object.
_SILENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


def unix_session(path: str) -> aiohttp.ClientSession:
    """Connections to the server behind the Unix socket at `path`, as many as are asked for."""
    # Idle ones are dropped sooner than servers drop them (5 s is usual), so that none is used as it is being closed.
    connector = aiohttp.UnixConnector(path, limit=0, keepalive_timeout=2.0)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # how long a transform may take is the user's to say
        skip_auto_headers=_SILENT,
        read_bufsize=PIECE,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )


def push_url(bucket: str, name: str, path: str, etl_args: str) -> URL:
    """The URL that asks for the object `name` of `bucket`, whose bytes are in the file at `path`."""
    query = f"{QUERY_FQN}={escape_fqn(path)}"
    if etl_args:
        query += f"&{QUERY_ARGS}={escape_query(etl_args)}"
    # The host of a Unix socket is only a name. Everything is escaped already: `encoded` keeps it so.
    return URL(f"http://worker/{escape_path(f'{bucket}/{name}')}?{query}", encoded=True)


async def push(
    session: aiohttp.ClientSession, url: URL, consume: Callable[[AsyncIterator[bytes]], Awaitable[Result]]
) -> Result:
    """Send a request and hand the object in its answer to `consume`, in pieces of about `PIECE` bytes.

    A small object is one piece; an empty one none. `consume` reads to the end, and has the whole object only then.

    Raises:
        AnswerError: the answer is not an object.
        IncompleteAnswerError: the answer broke off, or none came.
    """
    received = 0

    async def pieces(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        nonlocal received
        gathered: list[bytes] = []
        size = 0
        while data := await content.readany():
            gathered.append(data)
            size += len(data)
            received += len(data)
            if size >= PIECE:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)

    try:
        async with session.put(url, allow_redirects=False) as response:
            if response.status not in _OBJECT:
                raise AnswerError(await _explain(response))
            return await consume(pieces(response.content))
    except aiohttp.ClientError as error:
        raise IncompleteAnswerError(f"the answer broke off after {received} bytes") from error


async def _explain(response: aiohttp.ClientResponse) -> str:
    """Why an answer is not an object: its text, if it is an error."""
    if response.status < 400:
        return f"the server answered {response.status} where the object was expected"
    text = b""
    while len(text) < _LONGEST_ERROR and (data := await response.content.readany()):
        text += data
    return (
        text[:_LONGEST_ERROR].decode(errors="replace").strip()
        or f"the server answered {response.status} without saying why"
    )
