"""What the servers of ETLs ask of a target: `/v1/etl/_object/<etl-name>/<secret>/<uname>`.

GET gives an object to a server that pulls (docs/protocol.md#requests), PUT takes a result that a server delivers
(docs/protocol.md#pipelines-and-direct-put). This is the hot path of
jobs, so nothing stands between it and the connection.
"""

import logging

from instore.errors import ClientGoneError, InstoreError, WrongSecretError, status_of
from instore.http.request import Request
from instore.node.bodies import ObjectAnswer, custom_headers, open_piece, take_body
from instore.node.cluster import Cluster
from instore.node.etls.expected_puts import ExpectedPut, ExpectedPuts
from instore.node.etls.manager import OBJECT_PATH, ETLManager
from instore.protocol.names import unescape
from instore.store.names import parse_uname

logger = logging.getLogger("instore")

PREFIX = OBJECT_PATH.encode()


class DirectPutHandler:
    """Answers the servers of ETLs."""

    def __init__(self, cluster: Cluster, etls: ETLManager, expected_puts: ExpectedPuts) -> None:
        self._cluster = cluster
        self._etls = etls
        self._deliveries = expected_puts

    async def serve(self, request: Request) -> None:
        """Answer one request. If the disk is quick, a small result is kept within the callback that has its end."""
        raw_path, _, query = request.target.partition(b"?")
        try:
            uname = self._admit(raw_path)
            if request.method == "PUT":
                expected = self._deliveries.find(uname, query)
                await take_body(self._cluster, lambda: _ArrivingPut(expected), request)
                await request.respond(200, (), b"")
            elif request.method in ("GET", "HEAD"):
                await self._get(uname, request)
            else:
                await _say(request, 405, f"{request.method} is neither GET nor PUT")
        except ClientGoneError:
            return
        except Exception as error:
            if request.status:
                raise
            await _say(request, *_described(error, raw_path))

    def _admit(self, raw_path: bytes) -> str:
        """The uname that a path names, unescaped, and whole even if its slashes are not escaped."""
        name, _, rest = raw_path.removeprefix(PREFIX).decode("ascii", "surrogateescape").partition("/")
        secret, _, uname = rest.partition("/")
        if not self._etls.admitted(name, secret):
            raise WrongSecretError("no etl of this name has this secret")
        return unescape(uname)

    async def _get(self, uname: str, request: Request) -> None:
        bucket, name = parse_uname(uname)
        store = self._cluster.store(bucket, name)
        opened, first = await self._cluster.disk(open_piece, store, bucket, name)
        size = opened.entry.size
        if request.method == "HEAD":
            opened.close()
            await request.begin(200, [(b"content-length", b"%d" % size)])
            await request.end()
            return
        headers = {"Content-Type": "application/octet-stream", **custom_headers(opened.entry.attributes.custom)}
        await ObjectAnswer(self._cluster, opened, first, 0, size, 200, headers).serve(request)


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


async def _say(request: Request, status: int, sentence: str) -> None:
    await request.respond(status, [(b"content-type", b"text/plain")], sentence.encode(errors="replace"))
