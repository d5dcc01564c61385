"""`POST /download`: the object at a URL (docs/protocol.md#requests)."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from tests.server.conftest import BUFFERED, SHAPES
from tests.support.servers import SECRET, TARGET_PATH, Server, running

BIG = b"c" * 3_000_000


class Web(BaseHTTPRequestHandler):
    """A small web server: pages, redirects, an error, an answer that breaks off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/big":
                self.answer(200, BIG)
            case "/moved":
                self.answer(302, b"", "/big")
            case "/round":
                self.answer(302, b"", "/round")
            case "/to-file":
                self.answer(302, b"", "file:///etc/passwd")
            case "/headers":
                self.answer(200, str(dict(self.headers)).encode())
            case "/short":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"only this")
                self.close_connection = True
            case _:
                self.answer(410, b"gone for good")

    def answer(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=["buffered", "streamed"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may reach this machine, as the test's web server is on it."""
    variables = {"INSTORE_DOWNLOAD_LOCAL": "true", "AIS_AUTHN_TOKEN": "the-token-of-the-cluster"}
    with running(tmp_path_factory.mktemp("etl"), SHAPES[request.param], environment=variables) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as it is without configuration."""
    with running(tmp_path_factory.mktemp("etl"), BUFFERED) as server:
        yield server


def download(server: Server, url: str, **query: str) -> requests.Response:
    return requests.post(f"{server.url}/download", params={"original_url": url, "object_to": "photos/cat", **query})


@pytest.mark.parametrize("page", ["/big", "/moved", "/big?signature=a%2Fb&x=%20"])
def test_the_object_at_a_url_is_transformed(server: Server, web: str, page: str) -> None:
    answer = download(server, web + page)
    assert (answer.status_code, answer.content) == (200, b"<" + BIG.upper() + b">")


def test_arguments_and_name_reach_the_transform(server: Server, web: str) -> None:
    answer = download(server, web + "/big", etl_args="raise")
    assert answer.status_code == 500
    assert "photos/cat" in answer.text


def test_no_credential_of_the_cluster_goes_along(server: Server, web: str) -> None:
    assert b"THE-TOKEN" not in download(server, web + "/headers").content
    assert b"AUTHORIZATION" not in download(server, web + "/headers").content


def test_an_error_is_passed_on_with_its_reason(server: Server, web: str) -> None:
    answer = download(server, web + "/none?secret=hush")
    assert answer.status_code == 410
    assert "gone for good" in answer.text
    assert "hush" not in answer.text


def test_an_answer_that_breaks_off_is_502(server: Server, web: str) -> None:
    answer = download(server, web + "/short")
    assert answer.status_code == 502
    assert "broke off" in answer.text


def test_redirects_without_end_are_502(server: Server, web: str) -> None:
    assert download(server, web + "/round").status_code == 502


def test_a_url_that_can_not_be_reached_is_502(server: Server) -> None:
    assert download(server, "http://127.0.0.1:9/x").status_code == 502


@pytest.mark.parametrize("query", [{}, {"original_url": "http://127.0.0.1/"}, {"object_to": "photos/cat"}])
def test_a_missing_parameter_is_400_and_says_what_is_expected(server: Server, query: dict[str, str]) -> None:
    answer = requests.post(f"{server.url}/download", params=query)
    assert answer.status_code == 400
    assert "original_url=<url>&object_to=<name>" in answer.text


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "/etc/passwd", "{web}/to-file"]
)
def test_only_http_and_https_are_fetched(server: Server, web: str, url: str) -> None:
    answer = download(server, url.format(web=web))
    assert answer.status_code == 403
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "169.254.169.254",
        "[fe80::1]",
        socket.gethostname(),
    ],
)
def test_addresses_of_the_machine_and_its_link_are_refused(guarded: Server, host: str) -> None:
    port = guarded.port
    answer = download(guarded, f"http://{host}:{port}{TARGET_PATH}/x")
    assert answer.status_code == 403, answer.text
    assert SECRET not in answer.text
