"""`POST /download`: the object at a URL (docs/protocol.md#requests)."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from instore.errors import ForbiddenAddressError
from instore.server.downloads import refuse_local
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
            case "/with-password":
                self.answer(302, b"", f"http://me:pass-word@{self.headers['Host']}/big")
            case "/nowhere":
                self.answer(302, b"", "http://[::1/big")
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
    assert answer.status_code == 422
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


def test_a_redirect_to_what_is_not_a_url_is_502(server: Server, web: str) -> None:
    assert download(server, web + "/nowhere").status_code == 502


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/x",
        "http://.a/x",
        f"http://{'a' * 64}.example/x",
        "http://[::1/x",
        "http://127.0.0.1:70000/x",
        "http://127.0.0.1:port/x",
        "http:///x",
    ],
)
def test_a_url_without_a_host_that_can_be_is_400(server: Server, url: str) -> None:
    answer = download(server, url)
    assert answer.status_code == 400
    assert "is not a URL that can be asked" in answer.text


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://me:pass-word@{host}/big", 400),
        ("http://pass-word@{host}/big", 400),
        ("http://me:pass-word@@{host}/big", 400),
        ("ftp://me:pass-word@{host}/big", 403),
        ("me:pass-word@{host}/big", 403),
        ("{web}/with-password", 400),
        ("http://me:pass-word@[::1/big", 400),
    ],
)
def test_a_password_in_a_url_is_refused_and_never_told(server: Server, web: str, url: str, status: int) -> None:
    answer = download(server, url.format(host=web.removeprefix("http://"), web=web))
    assert answer.status_code == status
    assert "pass-word" not in answer.text + server.log_text()


def test_bytes_that_are_not_utf_8_stand_in_a_url_as_they_are(server: Server, web: str) -> None:
    query = f"original_url={web}/big%3F%FF&object_to=photos/cat"
    assert requests.post(f"{server.url}/download?{query}").status_code == 200


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


LOCAL = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "224.0.0.1",
    "::",
    "::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]


@pytest.mark.parametrize("address", LOCAL)
def test_an_address_that_leads_to_the_machine_or_its_link_is_refused_in_any_form(address: str) -> None:
    with pytest.raises(ForbiddenAddressError, match=r"some\.name is an address of this machine"):
        refuse_local(address, "some.name")


@pytest.mark.parametrize("address", ["8.8.8.8", "10.254.253.252", "2600::1", "64:ff9b::808:808", "2002:808:808::1"])
def test_another_address_may_be_fetched_from(address: str) -> None:
    refuse_local(address, "some.name")


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


def test_a_stream_is_held_until_it_is_whole(web: str, tmp_path: Path) -> None:
    variables = {"INSTORE_DOWNLOAD_LOCAL": "true"}
    with running(tmp_path, SHAPES["streamed"], environment=variables) as server:
        late = download(server, web + "/big", etl_args="raise late")
        assert (late.status_code, "upside down" in late.text) == (422, True)
        answer = download(server, web + "/big")
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(BIG) + 2))
