"""The members of AIStore's `aistore.sdk.etl.webserver.utils`, under its names."""

import base64
import contextlib
import copy
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cloudpickle
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

from instore.errors import InvalidPipelineError
from instore.webserver import utils
from instore.webserver.base_etl_server import ETLServer
from instore.webserver.utils import (
    _ResponseRawReader,
    compose_etl_direct_put_url,
    parse_etl_pipeline,
    serialize_class,
)

TARGET = "http://10.0.0.8:51081/v1/etl/_object/my-etl/s3cr3t"
BODY = bytes(range(256)) * 4096


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (compose_etl_direct_put_url, {"direct_put_url": str, "host_target": str, "obj_path": str}),
        (parse_etl_pipeline, {"pipeline_header": str}),
        (serialize_class, {"cls": type[ETLServer]}),
    ],
)
def test_a_function_takes_the_documented_parameters(
    function: Callable[..., object], parameters: dict[str, object]
) -> None:
    signature = inspect.signature(function).parameters
    required = {name: item.annotation for name, item in signature.items() if item.default is inspect.Parameter.empty}
    assert required == parameters
    assert list(signature)[: len(required)] == list(required)
    assert {item.kind for item in signature.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_results_and_defaults_are_the_documented_ones() -> None:
    assert inspect.signature(compose_etl_direct_put_url).return_annotation is str
    assert inspect.signature(parse_etl_pipeline).return_annotation == tuple[str, str]
    assert inspect.signature(serialize_class).return_annotation is str
    encoding = inspect.signature(serialize_class).parameters["encoding"]
    assert (encoding.default, encoding.annotation) == ("utf-8", str)
    assert list(inspect.signature(_ResponseRawReader).parameters) == ["response"]


@pytest.mark.parametrize("name", ["compose_etl_direct_put_url", "parse_etl_pipeline", "serialize_class"])
def test_every_function_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(getattr(utils, name))


def test_a_pipeline_is_split_into_first_and_rest() -> None:
    assert parse_etl_pipeline("http://a:1,http://b:2,http://c:3/x?y") == ("http://a:1", "http://b:2,http://c:3/x?y")
    assert parse_etl_pipeline(pipeline_header="  ") == ("", "")


def test_a_malformed_pipeline_is_refused() -> None:
    with pytest.raises(InvalidPipelineError):
        parse_etl_pipeline("http://a:1,,http://b:2")


def test_a_stage_gets_the_objects_path() -> None:
    assert compose_etl_direct_put_url("http://10.0.0.7:8000", TARGET, "b/a cat#1.jpg") == (
        "http://10.0.0.7:8000/b/a%20cat%231.jpg"
    )


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_destination_gets_the_local_targets_path_before_its_own(slash: str) -> None:
    assert compose_etl_direct_put_url(
        direct_put_url="http://10.0.0.9:51081/ais%2F@%23%2Fdst%2Fcat.jpg?uuid=j&owt=5",
        host_target=TARGET + slash,
        obj_path="ais/@#/src/cat.jpg",
    ) == ("http://10.0.0.9:51081/v1/etl/_object/my-etl/s3cr3t/ais%2F@%23%2Fdst%2Fcat.jpg?uuid=j&owt=5")


@pytest.mark.parametrize("direct_put_url", ["http://10.0.0.7:8000", "http://10.0.0.7:8000/x"])
def test_the_scheme_is_the_local_targets(direct_put_url: str) -> None:
    url = compose_etl_direct_put_url(direct_put_url, TARGET.replace("http", "https"), "b/o")
    assert url.startswith("https://10.0.0.7:8000/")


def test_arguments_for_the_next_stage_go_into_the_query() -> None:
    url = compose_etl_direct_put_url("http://10.0.0.7:8000?etl_args=old", TARGET, "b/o", '{"a": "b&c"}')
    assert url == "http://10.0.0.7:8000/b/o?etl_args=%7B%22a%22%3A+%22b%26c%22%7D"


class Upper(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        assert isinstance(data, bytes)
        return data.upper()


def test_an_importable_class_comes_back_as_itself() -> None:
    text = serialize_class(Upper)
    assert text.isascii()
    assert cloudpickle.loads(base64.b64decode(text)) is Upper


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_the_encoding_is_that_of_the_base64_text(encoding: str) -> None:
    assert serialize_class(Upper, encoding=encoding) == serialize_class(Upper)


SCRIPT = """
import json
from instore.webserver.base_etl_server import ETLServer

GREETING = "hello "

def greet(name):
    return GREETING + name

class Base(ETLServer):
    suffix = "!"

class Greeter(Base):
    def __init__(self, mark="?"):
        self.mark = mark

    def transform(self, data, path, etl_args):
        return json.dumps(greet(data.decode()) + self.suffix + self.mark).encode()
"""

RECEIVER = """
import base64, pickle, sys
cls = pickle.loads(base64.b64decode(sys.argv[1]))
sys.stdout.buffer.write(cls().transform(b"world", "", ""))
"""


def test_a_class_of_a_script_is_shipped_with_all_that_it_uses() -> None:
    main: dict[str, object] = {"__name__": "__main__"}
    exec(SCRIPT, main)
    greeter = main["Greeter"]
    assert isinstance(greeter, type)
    result = subprocess.run([sys.executable, "-c", RECEIVER, serialize_class(greeter)], check=True, capture_output=True)
    assert result.stdout == b'"hello world!?"'


@pytest.mark.parametrize("value", [None, 1, "ETLServer", Upper.transform, int, object, type, type[Upper]])
def test_anything_but_a_subclass_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not a subclass of ETLServer"):
        serialize_class(value)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client closed early
            super().handle()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Client:
    """A client with one connection, and the pool that holds it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", self._adapter)

    def get(self) -> requests.Response:
        return self._session.get(self._url, stream=True)

    @property
    def pool(self) -> HTTPConnectionPool:
        pools = self._adapter.poolmanager.pools
        [key] = pools.keys()
        pool = pools[key]
        assert isinstance(pool, HTTPConnectionPool)
        return pool

    @property
    def idle(self) -> int:
        """How many connections the pool holds ready."""
        assert self.pool.pool is not None
        return self.pool.pool.qsize()

    def close(self) -> None:
        self._session.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.close()


def test_a_reader_reads_the_raw_body(client: Client) -> None:
    reader = _ResponseRawReader(client.get())
    assert reader.read(3) == BODY[:3]
    assert reader.read(amt=2, decode_content=False) == BODY[3:5]
    assert reader.read() == BODY[5:]
    assert reader.read() == b""
    reader.close()


def test_an_early_close_gives_the_connection_back_to_its_pool(client: Client) -> None:
    for _ in range(3):
        reader = _ResponseRawReader(client.get())
        assert reader.read(10) == BODY[:10]
        assert client.idle == 0
        reader.close()
        reader.close()
        assert client.idle == 1


def test_closing_the_raw_body_itself_would_leave_the_pool_short(client: Client) -> None:
    response = client.get()
    response.raw.close()
    assert client.idle == 0
    _ResponseRawReader(response).close()
    assert client.idle == 1


def test_a_body_read_to_its_end_leaves_the_connection_open_for_the_next(client: Client) -> None:
    for _ in range(3):
        reader = _ResponseRawReader(client.get())
        assert reader.read() == BODY
        reader.close()
    assert client.pool.num_connections == 1
    assert client.pool.num_requests == 3


def test_all_else_is_that_of_the_raw_body(client: Client) -> None:
    response = client.get()
    reader = _ResponseRawReader(response)
    assert reader._raw is response.raw
    assert reader.status == 200
    assert reader.headers["Content-Length"] == str(len(BODY))
    assert reader.readable() is True
    assert b"".join(reader.stream(1 << 16)) == BODY
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = reader.no_such_name
    reader.close()
    assert reader.closed


def test_a_reader_can_be_copied(client: Client) -> None:
    reader = _ResponseRawReader(client.get())
    assert copy.copy(reader).read() == BODY
    reader.close()
