"""Where an object comes from: body, file, target (docs/protocol.md#requests)."""

import http.client
import os
from pathlib import Path

import pytest
import requests

from instore.protocol.names import escape_fqn, escape_query, escape_segment
from tests.support.servers import SECRET, Server
from tests.support.target import Target

BIG = bytes(range(97, 123)) * 200_000  # five megabytes


@pytest.mark.parametrize("body", [b"", b"cat", BIG], ids=["empty", "small", "big"])
def test_a_body_with_a_length_is_transformed(server: Server, body: bytes) -> None:
    answer = requests.put(f"{server.url}/photos/cat.jpg", data=body)
    assert (answer.status_code, answer.content) == (200, b"<" + body.upper() + b">")
    assert answer.headers["Content-Type"] == "text/x-loud"


def test_a_chunked_body_is_transformed(server: Server) -> None:
    answer = requests.put(f"{server.url}/photos/cat.jpg", data=iter([b"ca", b"t" * 100_000]))
    assert answer.content == b"<CA" + b"T" * 100_000 + b">"


@pytest.mark.parametrize("method", ["PUT", "GET"])
@pytest.mark.parametrize("name", ["cat.jpg", "100%41.txt", "a b#c?d+e&f.jpg", "Grüße/日本.txt", "new\nline"])
def test_a_file_is_read_where_the_query_names_it(server: Server, store: Path, method: str, name: str) -> None:
    file = store / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"cat")
    answer = requests.request(method, f"{server.url}/photos/x?etl_fqn={escape_fqn(str(file))}")
    assert (answer.status_code, answer.content) == (200, b"<CAT>")


@pytest.mark.parametrize("size", [0, 1, 16384, 5_000_000])
def test_a_file_of_any_size_is_whole(server: Server, store: Path, size: int) -> None:
    file = store / f"sized-{size}"
    file.write_bytes(BIG[:size])
    answer = requests.put(f"{server.url}/photos/x?etl_fqn={escape_fqn(str(file))}")
    assert answer.content == b"<" + BIG[:size].upper() + b">"


@pytest.mark.parametrize("size", [0, 3, 5_000_000])
def test_an_object_is_pulled_from_the_target_by_its_uname_escaped_once(
    server: Server, target: Target, size: int
) -> None:
    uname = f"ais/@#/photos/100%41 {size}#.jpg"
    target.objects[escape_segment(uname)] = BIG[:size]
    answer = requests.get(f"{server.url}/{escape_segment(uname)}")
    assert (answer.status_code, answer.content) == (200, b"<" + BIG[:size].upper() + b">")


def test_a_missing_file_is_404(server: Server, store: Path) -> None:
    answer = requests.put(f"{server.url}/photos/x?etl_fqn={escape_fqn(str(store / 'missing'))}")
    assert answer.status_code == 404
    assert "missing" in answer.text


def test_the_targets_own_status_and_reason_are_passed_on(server: Server) -> None:
    answer = requests.get(f"{server.url}/{escape_segment('ais/@#/photos/none')}")
    assert answer.status_code == 404
    assert "does not exist" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/environ",
        "/etc/passwd",
        "{store}/../../../../../../../../etc/passwd",
        "{store}/../%wk/x",
        "{store}/link",
        "{store}/folder-link/passwd",
        "{store}/folder",
        "{store}/fifo",
        "relative/@ais/photos/%ob/x",
        "/proc/self/root/etc/passwd",
        "{store}/nul\0byte",
    ],
)
def test_what_is_not_an_objects_file_is_403_and_not_read(server: Server, store: Path, path: str) -> None:
    _lay_traps(store)
    answer = requests.put(f"{server.url}/photos/x?etl_fqn={escape_fqn(path.format(store=store))}")
    assert answer.status_code == 403
    assert "root:" not in answer.text
    assert SECRET not in answer.text


def _lay_traps(store: Path) -> None:
    if not (store / "fifo").exists():
        (store / "link").symlink_to("/etc/passwd")
        (store / "folder-link").symlink_to("/etc")
        (store / "folder").mkdir()
        os.mkfifo(store / "fifo")


@pytest.mark.parametrize("path", ["..", "%2e%2e", "."])
def test_a_pull_can_not_climb_out_of_the_secret(buffered: Server, path: str) -> None:
    connection = http.client.HTTPConnection(buffered.host, buffered.port)
    connection.request("GET", f"/{path}")
    assert connection.getresponse().status == 400
    connection.close()


def test_arguments_and_path_reach_the_transform_decoded_once(buffered: Server) -> None:
    answer = requests.put(f"{buffered.url}/photos/a%20b%252F%23.jpg?etl_args=+tell+", data=b"x")
    assert answer.json() == {"path": "photos/a b%2F#.jpg", "data": "x"}


@pytest.mark.parametrize("args", ['{"a": "b,c&d+e=f%41", "ü": ["日本", "\\"{}"]}', '{" ":"%2B%"}'])
def test_json_arguments_survive(buffered: Server, args: str) -> None:
    answer = requests.put(f"{buffered.url}/photos/x?etl_args={escape_query(args)}", data=b"x")
    assert answer.content.decode() == args


def test_health_answers_while_every_transform_is_busy(buffered: Server) -> None:
    busy = http.client.HTTPConnection(buffered.host, buffered.port)
    busy.request("PUT", "/photos/x?etl_args=sleep+1", body=b"x")
    for _ in range(3):
        answer = requests.get(f"{buffered.url}/health")
        assert (answer.status_code, answer.content) == (200, b"Running")
    assert busy.getresponse().read() == b"<X>"
    busy.close()


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405(buffered: Server, method: str) -> None:
    answer = requests.request(method, f"{buffered.url}/photos/x", data=b"x")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "PUT, GET"


def test_no_object_is_400(buffered: Server) -> None:
    assert requests.put(f"{buffered.url}/", data=b"x").status_code == 400
