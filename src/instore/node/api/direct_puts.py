"""What the servers of ETLs ask of a target: `/v1/etl/_object/<etl-name>/<secret>/<uname>`.

GET gives an object to a server that pulls (docs/protocol.md#requests), PUT takes a result that a server delivers
(docs/protocol.md#pipelines-and-direct-put). This is the hot path of jobs, so
it is an ASGI application without anything between, and takes the shortcut for small results.
"""

import logging
from collections.abc import Iterable, Sequence

from starlette.types import Receive, Scope, Send

from instore.errors import ClientGoneError, InstoreError, WrongSecretError, status_of
from instore.node.bodies import SMALL, ObjectAnswer, open_piece, take_body, take_whole
from instore.node.cluster import Cluster
from instore.node.etls.expected_puts import ExpectedPut, ExpectedPuts
from instore.node.etls.manager import OBJECT_PATH, ETLManager
from instore.protocol.names import unescape
from instore.store.names import parse_uname

logger = logging.getLogger("instore")

PREFIX = OBJECT_PATH.encode()
_DIGITS = 8  # that the length of something small has at most


class DirectPutHandler:
    """The ASGI application, and the `FastPath` for small results.

    Args:
        cluster: the node's targets.
        etls: whose servers may come in.
        deliveries: the results that are expected.
    """

    def __init__(self, cluster: Cluster, etls: ETLManager, expected_puts: ExpectedPuts) -> None:
        self._cluster = cluster
        self._etls = etls
        self._deliveries = expected_puts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        method, raw_path = scope["method"], scope["raw_path"]
        try:
            uname = self._admit(raw_path)
            if method == "PUT":
                expected = self._deliveries.find(uname, scope["query_string"])
                await take_body(self._cluster, lambda: _ArrivingPut(expected), receive)
                await _respond(send, 200, [(b"content-length", b"0")])
            elif method in ("GET", "HEAD"):
                await self._get(uname, scope, receive, send)
            else:
                await _say(send, 405, f"{method} is neither GET nor PUT")
        except ClientGoneError:
            return
        except Exception as error:
            await _say(send, *_described(error, raw_path))

    def takes(self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request is a small result, and the disk is quick; see `FastPath`."""
        if method != b"PUT" or not target.startswith(PREFIX) or not self._cluster.is_quick:
            return False
        for name, value in headers:
            if name == b"content-length":
                return len(value) <= _DIGITS and int(value) <= SMALL
        return False

    def answer(self, target: bytes, body: bytes) -> tuple[int, str]:
        """Keep a small result; see `FastPath`."""
        raw_path, _, query = target.partition(b"?")
        try:
            expected = self._deliveries.find(self._admit(raw_path), query)
            self._cluster.at_once(take_whole, lambda: _ArrivingPut(expected), [body])
        except Exception as error:
            return _described(error, raw_path)
        return 200, ""

    def _admit(self, raw_path: bytes) -> str:
        """The uname that a path names, unescaped, and whole even if its slashes are not escaped.

        Raises:
            WrongSecretError: not with this secret.
        """
        name, _, rest = raw_path.removeprefix(PREFIX).decode("ascii", "surrogateescape").partition("/")
        secret, _, uname = rest.partition("/")
        if not self._etls.admitted(name, secret):
            raise WrongSecretError("no etl of this name has this secret")
        return unescape(uname)

    async def _get(self, uname: str, scope: Scope, receive: Receive, send: Send) -> None:
        bucket, name = parse_uname(uname)
        store = self._cluster.store(bucket, name)
        opened, first = await self._cluster.disk(open_piece, store, bucket, name)
        headers = {"Content-Type": "application/octet-stream"}
        if scope["method"] == "HEAD":
            opened.close()
            await _respond(send, 200, [(b"content-length", b"%d" % opened.entry.size)])
            return
        await ObjectAnswer(self._cluster, opened, first, 0, opened.entry.size, 200, headers)(scope, receive, send)


class _ArrivingPut:
    """A result as it arrives; a `bodies.Destination`."""

    def __init__(self, expected: ExpectedPut) -> None:
        self._expected = expected
        self._upload = expected.owner.store.upload(expected.bucket, expected.name)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._upload.write(data)

    def commit(self) -> None:
        """Keep it, if it is still waited for."""
        self._expected.keep(self._upload)

    def abort(self) -> None:
        """Drop what was not kept."""
        self._upload.abort()


def _described(error: Exception, raw_path: bytes) -> tuple[int, str]:
    """Status and sentence for an error; what is our own mistake is logged."""
    if isinstance(error, InstoreError):
        return status_of(error), str(error)
    logger.error("a request for %r failed", raw_path.rpartition(b"/")[2], exc_info=error)  # without the secret
    return 500, f"internal error: {type(error).__name__}"


async def _say(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode(errors="replace")
    await _respond(send, status, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))], body)


async def _respond(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
