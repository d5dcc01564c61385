"""Pipelines and direct put (docs/protocol.md#pipelines-and-direct-put)."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from instore.protocol.names import escape_fqn, escape_query
from tests.server.conftest import BUFFERED, SHAPES
from tests.support.servers import TARGET_PATH, Server, running
from tests.support.target import Target

DESTINATION = "/ais%2F@%23%2Fdst%2Fcat%2520.jpg?uuid=job1&owt=3"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    """The next stage of a pipeline."""
    with running(tmp_path_factory.mktemp("second"), BUFFERED, target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module", params=["buffered", "streamed"])
def impatient(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, target: Target
) -> Iterator[Server]:
    """A server that retries once."""
    folder = tmp_path_factory.mktemp("impatient")
    retries = {"AIS_DIRECT_PUT_RETRIES": "1"}
    with running(folder, SHAPES[request.param], target_url=target.url, environment=retries) as server:
        yield server


def put(server: Server, pipeline: str, body: bytes = b"cat", query: str = "") -> requests.Response:
    return requests.put(f"{server.url}/photos/cat.jpg{query}", data=body, headers={"Ais-Node-Url": pipeline})


def test_a_result_is_put_to_the_destination_with_secret_escapes_and_query_kept(server: Server, no_puts: Target) -> None:
    answer = put(server, no_puts.host + DESTINATION)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Ais-Direct-Put-Length"] == "5"
    assert [(stored.path, stored.body) for stored in no_puts.puts] == [(TARGET_PATH + DESTINATION, b"<CAT>")]


def test_a_large_result_is_put_whole(server: Server, no_puts: Target) -> None:
    body = b"c" * 5_000_000
    answer = put(server, no_puts.host + DESTINATION, body)
    assert (answer.status_code, answer.headers["Ais-Direct-Put-Length"]) == (204, "5000002")
    assert no_puts.puts[0].body == b"<" + body.upper() + b">"


def test_an_empty_result_is_delivered_without_a_length(server: Server, no_puts: Target) -> None:
    answer = put(server, no_puts.host + DESTINATION, query="?etl_args=empty")
    assert answer.status_code == 204
    assert "Ais-Direct-Put-Length" not in answer.headers
    assert no_puts.puts[0].body == b""


def test_arguments_go_along_once(buffered: Server, no_puts: Target) -> None:
    args = '{"a": "b,c&d+e"}'
    put(buffered, f"{no_puts.host}/ais%2Fx?etl_args=old&uuid=1", query=f"?etl_args={escape_query(args)}")
    assert no_puts.puts[0].path == f"{TARGET_PATH}/ais%2Fx?uuid=1&etl_args={escape_query(args)}"


def test_a_two_stage_pipeline_gives_the_last_stages_result(server: Server, second: Server) -> None:
    answer = put(server, second.url)
    assert (answer.status_code, answer.content) == (200, b"<<CAT>>")
    assert answer.headers["Content-Type"] == "text/x-loud"


def test_a_two_stage_pipeline_delivers(server: Server, second: Server, no_puts: Target) -> None:
    answer = put(server, f"{second.url}, {no_puts.host}{DESTINATION}")
    assert (answer.status_code, answer.headers["Ais-Direct-Put-Length"]) == (204, "7")
    assert no_puts.puts[0].body == b"<<CAT>>"


def test_a_last_stage_that_yields_nothing_gives_an_empty_object_not_a_delivery(server: Server, second: Server) -> None:
    answer = put(server, second.url, query="?etl_args=empty")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_large_object_goes_through_two_stages(server: Server, second: Server) -> None:
    body = b"c" * 5_000_000
    assert put(server, second.url, body).content == b"<<" + body.upper() + b">>"


def test_an_error_of_the_next_stage_is_passed_on(buffered: Server, second: Server) -> None:
    answer = requests.put(
        f"{buffered.url}/photos/cat.jpg", data=b"cat", headers={"Ais-Node-Url": f"{second.url}/?etl_args=raise"}
    )
    assert answer.status_code == 422
    assert "upside down" in answer.text


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503, 507])
def test_a_status_and_body_of_the_target_are_passed_on(server: Server, no_puts: Target, status: int) -> None:
    no_puts.answers.append((status, b"no room left"))
    answer = put(server, no_puts.host + DESTINATION)
    assert (answer.status_code, answer.content) == (status, b"no room left")
    assert "Ais-Etl-Retry-Reason" not in answer.headers


@pytest.mark.parametrize("status", [200, 201, 206, 307])
def test_a_success_that_no_target_gives_is_502(buffered: Server, no_puts: Target, status: int) -> None:
    no_puts.answers.append((status, b"surprise"))
    answer = put(buffered, no_puts.host + DESTINATION)
    assert answer.status_code == 502
    assert "surprise" in answer.text


@pytest.mark.parametrize("pipeline", ["a,,b", ",", "http://127.0.0.1:1,", "no-url", "http://127.0.0.1:99999999/x"])
def test_a_malformed_pipeline_is_400(server: Server, pipeline: str) -> None:
    assert put(server, pipeline).status_code == 400


def test_a_blank_pipeline_is_none(server: Server) -> None:
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.request("PUT", "/photos/cat.jpg", b"cat", {"Ais-Node-Url": "  "})
    assert connection.getresponse().read() == b"<CAT>"
    connection.close()


def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def test_a_next_hop_that_can_not_be_reached_is_502_after_the_retries(impatient: Server, store: Path) -> None:
    (store / "cat").write_bytes(b"cat")
    next_hop = {"Ais-Node-Url": f"http://127.0.0.1:{refused_port()}/ais%2Fx"}
    query = f"etl_fqn={escape_fqn(str(store / 'cat'))}"
    answer = requests.put(f"{impatient.url}/photos/cat?{query}", headers=next_hop)
    assert answer.status_code == 502
    assert "2 attempts" in answer.text


def test_a_streamed_body_can_not_be_replayed_and_the_target_is_told(streamed: Server) -> None:
    answer = put(streamed, f"http://127.0.0.1:{refused_port()}/ais%2Fx")
    assert (answer.status_code, answer.headers["Ais-Etl-Retry-Reason"]) == (503, "direct-put-transient")
