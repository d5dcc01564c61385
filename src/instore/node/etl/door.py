"""The target's door for the servers of ETLs: `/v1/etl/_object/<etl-name>/<secret>/<uname>` (protocol sections 3 and 5).

GET gives an object to a server that pulls, PUT takes a result that a server delivers. This is the hot path of jobs, so
it is an ASGI application without anything between, and a small object is one hop to a thread.
"""

import logging
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from instore.errors import ClientGoneError, InstoreError, NobodyWaitsError, status_of
from instore.node.bodies import ObjectAnswer, open_piece, take_body
from instore.node.cluster import Cluster
from instore.node.etl.deliveries import NUMBER, Deliveries, Expected
from instore.node.etl.lifecycle import OBJECT_PATH, Etls
from instore.protocol.names import unescape
from instore.target.bucket import parse_uname
from instore.target.store import Upload

logger = logging.getLogger("instore")

PREFIX = OBJECT_PATH.encode()


class Door:
    """The ASGI application.

    Args:
        cluster: the node's targets.
        etls: whose servers may come in.
        deliveries: the results that are expected.
    """

    def __init__(self, cluster: Cluster, etls: Etls, deliveries: Deliveries) -> None:
        self._cluster = cluster
        self._etls = etls
        self._deliveries = deliveries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        name, secret, uname = _parts(scope["raw_path"])
        try:
            if not self._etls.admitted(name, secret):
                await _say(send, 403, "no etl of this name has this secret")
            elif scope["method"] == "PUT":
                await self._put(uname, scope["query_string"], receive, send)
            elif scope["method"] in ("GET", "HEAD"):
                await self._get(uname, scope, receive, send)
            else:
                await _say(send, 405, f"{scope['method']} is neither GET nor PUT")
        except ClientGoneError:
            return
        except InstoreError as error:
            await _say(send, status_of(error), str(error))
        except Exception as error:
            logger.exception("%s of %s failed", scope["method"], uname)
            await _say(send, 500, f"internal error: {type(error).__name__}")

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

    async def _put(self, uname: str, query: bytes, receive: Receive, send: Send) -> None:
        bucket, name = parse_uname(uname)
        number = dict(parse_qsl(query.decode("latin-1"))).get(NUMBER, "")
        expected = self._deliveries.find(number, bucket, name)
        if expected is None:
            raise NobodyWaitsError(f"nobody waits for {bucket.object(name)}, or not any more")
        store = expected.owner.store
        await take_body(self._cluster, lambda: _Arrival(expected, store.upload(bucket, name)), receive)
        await _respond(send, 200, [(b"content-length", b"0")])


class _Arrival:
    """A result as it arrives; a `bodies.Sink`."""

    def __init__(self, expected: Expected, upload: Upload) -> None:
        self._expected = expected
        self._upload = upload

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._upload.write(data)

    def commit(self) -> None:
        """Keep it, if it is still waited for."""
        self._expected.keep(self._upload)

    def abort(self) -> None:
        """Drop what was not kept."""
        self._upload.abort()


def _parts(raw_path: bytes) -> tuple[str, str, str]:
    """The ETL's name, the secret and the uname, which is unescaped, and whole even if its slashes are not escaped."""
    name, _, rest = raw_path.removeprefix(PREFIX).decode("ascii", "surrogateescape").partition("/")
    secret, _, uname = rest.partition("/")
    return name, secret, unescape(uname)


async def _say(send: Send, status: int, sentence: str) -> None:
    body = sentence.encode(errors="replace")
    await _respond(send, status, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))], body)


async def _respond(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
