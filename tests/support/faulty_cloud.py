"""A cloud whose answers break where a test wants it: a proxy in front of one that is well."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.clouds import client_of

_JSON_LISTING = re.compile("/storage/v1/b/([^/]+)/o")
_NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "server", "date")


class Asked(NamedTuple):
    """A request.

    Attributes:
        method: `GET`.
        key: of the object; empty for the bucket's.
        query: as it stands in the URL.
        body: what came with it.
        authorization: who says that they ask.
    """

    method: str
    key: str
    query: str
    body: bytes
    authorization: str


Fault = Callable[["Exchange"], None]
"""What is done in place of passing a request on and its answer back."""


@dataclass
class FaultyCloud:
    """A running proxy.

    Attributes:
        endpoint: its URL.
        fault: what becomes of a request; None: nothing out of the ordinary.
        page: names that one page of a listing has at most; 0: as many as the cloud gives.
        is_google: it speaks Google's protocol.
        asked: all requests.
    """

    endpoint: str = ""
    fault: Callable[[Asked], Fault | None] = lambda _asked: None
    page: int = 0
    is_google: bool = False
    asked: list[Asked] = field(default_factory=list)

    def breaks(self, fault: Fault, method: str = "", query: str = "", key: str = "", times: int = 1 << 30) -> None:
        """Break the first `times` requests of that method, with that text in their query and that in their key."""
        left = [times]

        def choose(asked: Asked) -> Fault | None:
            if (method and asked.method != method) or query not in asked.query or key not in asked.key or not left[0]:
                return None
            left[0] -= 1
            return fault

        self.fault = choose

    def count(self, method: str, query: str = "") -> int:
        """How many requests there were of that method, with that text in their query."""
        return sum(one.method == method and query in one.query for one in self.asked)


@dataclass
class Exchange:
    """A request that a fault is to deal with.

    Attributes:
        forward: has it answered by the cloud behind.
        answer: answers it.
        hang_up: ends the connection.
    """

    forward: Callable[[], tuple[int, dict[str, str], bytes]]
    answer: Callable[[int, dict[str, str], bytes, int | None], None]
    hang_up: Callable[[], None]


def answering(status: int, code: str = "", message: str = "as the test wants it") -> Fault:
    """An error in the cloud's own words."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    return lambda exchange: exchange.answer(status, {"Content-Type": "application/xml"}, body.encode(), None)


def hanging_up(exchange: Exchange) -> None:
    """No answer at all."""
    exchange.hang_up()


def losing_the_answer(exchange: Exchange) -> None:
    """It is done, and nobody is told."""
    exchange.forward()
    exchange.hang_up()


def cutting(after: int) -> Fault:
    """The answer's body ends after so many bytes, in the middle."""

    def fault(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers, body[:after], len(body))
        exchange.hang_up()

    return fault


def shortening(by: int) -> Fault:
    """The answer's body, and its announced length, lack so many bytes."""

    def fault(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers, body[:-by], None)

    return fault


def saying(**headers: str) -> Fault:
    """The answer with other headers."""

    def fault(exchange: Exchange) -> None:
        status, its_own, body = exchange.forward()
        length = headers.get("Content_Length")
        others = {name.replace("_", "-"): value for name, value in headers.items() if name != "Content_Length"}
        exchange.answer(status, {**its_own, **others}, body, None if length is None else int(length))

    return fault


def _in_words_of_amazon(headers: dict[str, str]) -> dict[str, str]:
    """Headers of Google's protocol, which is Amazon's but for these, as the cloud behind understands them."""
    ours = {name.replace("x-goog-meta-", "x-amz-meta-"): value for name, value in headers.items()}
    if ours.pop("x-goog-if-generation-match", "") == "0":
        ours["if-none-match"] = "*"
    return {**ours, "authorization": "AWS4-HMAC-SHA256 Credential=key/20200101/us-east-1/s3/aws4_request"}


def _listed_as_json(behind: str, bucket: str, query: str, most: int) -> bytes:
    """A page of a listing as Google's JSON API has it."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    where = {"ContinuationToken": asked["pageToken"]} if "pageToken" in asked else {}
    page = client_of(behind).list_objects_v2(
        Bucket=bucket, Prefix=asked["prefix"], StartAfter=asked["startOffset"], MaxKeys=most, **where
    )
    found = page.get("Contents", ())
    items = [{"name": o["Key"], "size": str(o["Size"]), "updated": o["LastModified"].isoformat()} for o in found]
    more = {"nextPageToken": page["NextContinuationToken"]} if page["IsTruncated"] else {}
    return json.dumps({**({"items": items} if items else {}), **more}).encode()


@contextmanager
def faulty_cloud(behind: str) -> Iterator[FaultyCloud]:
    """A proxy on a free port, in front of the cloud `behind`, until the context ends."""
    cloud = FaultyCloud()
    host = urlsplit(behind).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def _serve(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = unquote(url.path).lstrip("/").partition("/")[2]
            asked = Asked(self.command, key, url.query, body, self.headers.get("Authorization", ""))
            cloud.asked.append(asked)
            fault = cloud.fault(asked)
            listed = _JSON_LISTING.fullmatch(url.path) if cloud.is_google else None
            if fault is None and listed is not None:
                page = _listed_as_json(behind, unquote(listed[1]), url.query, cloud.page or 1000)
                self._answer(200, {"Content-Type": "application/json"}, page, None)
            elif fault is not None:
                fault(Exchange(lambda: self._forward(body), self._answer, self._hang_up))
            else:
                self._answer(*self._forward(body), None)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = HTTPConnection(host)
            path = f"{self.path}&max-keys={cloud.page}" if cloud.page and "list-type" in self.path else self.path
            asks = {name.lower(): value for name, value in self.headers.items()}
            connection.request(self.command, path, body, _in_words_of_amazon(asks) if cloud.is_google else asks)
            response: HTTPResponse = connection.getresponse()
            data = response.read()
            connection.close()
            headers = {
                name.replace("x-amz-meta-", "x-goog-meta-") if cloud.is_google else name: value
                for name, value in response.getheaders()
                if name.lower() not in _NOT_PASSED_ON
            }
            if self.command == "HEAD":
                headers["Content-Length"] = response.headers["Content-Length"]
            return response.status, headers, data

        def _answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if not (length is not None and name == "Content-Length"):
                    self.send_header(name, value)
            if "Content-Length" not in headers or length is not None:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _hang_up(self) -> None:
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cloud.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
