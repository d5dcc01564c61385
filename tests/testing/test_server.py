"""The test kit's server: every way in, every kind of transform, and what failures say."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from instore import ETLServer
from instore.errors import ConfigurationError, NoResultError
from instore.testing import Server
from tests.support.servers import TRANSFORMS
from tests.testing.transforms import Skips, SkipsTogether, Splits, Tells

BUFFERED = TRANSFORMS / "buffered.py"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Tells) as server:
        yield server


def test_each_way_gives_the_transform_the_path_that_a_cluster_gives(server: Server, tmp_path: Path) -> None:
    (tmp_path / "c d.jpg").write_bytes(b"x")
    assert server.put("b/c d.jpg", b"x", "1 2").body == b"b/c d.jpg|1 2|b'x'"
    assert server.put("b/c d.jpg", b"x", chunked=True).body == b"b/c d.jpg||b'x'"
    assert server.file(tmp_path / "c d.jpg", "é").body.decode() == "samples/c d.jpg|é|b'x'"
    assert server.pull("b/c d.jpg", b"x", "&").body == b"ais/@#/b/c d.jpg|&|b'x'"
    assert server.websocket("b/c d.jpg", b"x", "3").body == b"c d.jpg|3|b'x'"
    assert server.pipeline([], "b/c d.jpg", b"x", "4").body == b"b/c d.jpg|4|b'x'"


def test_a_pipeline_goes_through_all_of_its_stages(server: Server) -> None:
    answer = server.pipeline([BUFFERED, server], "b/o", b"x")
    assert answer.status == 204
    assert answer.body == b"b/o||b\"<B/O||B'X'>\""


def test_an_answer_has_status_headers_and_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Server(BUFFERED) as server:
        answer = server.put("b/o", b"x")
        assert (answer.status, answer.body, answer.error) == (200, b"<X>", "")
        assert answer.headers["content-type"] == "text/x-loud"
        assert server.put("b/o", b"x", "empty").body == b""
        assert server.websocket("b/o", b"x", "empty").body == b""
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    assert server._process.returncode == 0


def test_a_failure_says_why_and_where_and_its_body_can_not_be_taken_for_a_result(server: Server) -> None:
    answer = server.put("b/o", b"x", "raise")
    assert (answer.status, answer.result) == (422, None)
    assert answer.error == "the transform of 'b/o' failed: ValueError: upside down"
    assert "transforms.py" in answer.frames[-1]
    with pytest.raises(NoResultError, match=r"upside down\n  at .*transforms.py"):
        _ = answer.body
    assert "upside down" in server.websocket("b/o", b"x", "raise").error
    assert "upside down" in server.pipeline([], "b/o", b"x", "raise").error
    assert "upside down" in server.pull("b/o", b"x", "raise").error


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_an_object_that_is_cut_off_has_no_result(server: Server, size: int) -> None:
    data = bytes(size)
    for answer in (
        server.put("b/o", data, cut=True),
        server.put("b/o", data, chunked=True, cut=True),
        server.pull("b/o", data, cut=True),
        server.websocket("b/o", data, cut=True),
        server.pipeline([], "b/o", data, cut=True),
    ):
        assert answer.result is None
        assert answer.error
    assert server.put("b/o", b"x").body


def test_the_objects_of_a_group_have_an_answer_each(server: Server) -> None:
    assert server.takes_groups
    objects = {f"b/{number}": b"%d" % number for number in range(70)}
    answers = server.group(objects, "&")
    assert list(answers) == list(objects)
    assert {name: answer.body for name, answer in answers.items()} == {
        name: f"{name}|&|{data!r}".encode() for name, data in objects.items()
    }
    assert "upside down" in server.group({"b/1": b"", "b/2": b""}, "raise")["b/2"].error
    assert server.group({}) == {}


def test_the_objects_of_a_group_meet_in_batches() -> None:
    with Server(SkipsTogether) as server:
        assert all(answer.skipped for answer in server.group({"b/1": b"1", "b/2": b"2"}).values())
        assert server.group({"b/1": b"1"})["b/1"].body == b"1"


@pytest.mark.whole
def test_a_server_that_dies_over_a_group_says_so_of_each() -> None:
    with Server(Tells) as server:
        for answer in server.group({"b/1": b"", "b/2": b""}, "die").values():
            assert answer.error.startswith("the server was killed by SIGKILL")


def test_all_results_come_by_each_way_that_takes_them(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"xy")
    with Server(Splits) as server:
        assert not server.takes_groups
        for answer in (
            server.put("b/o", b"xy", results=True),
            server.put("b/o", b"xy", chunked=True, results=True),
            server.pull("b/o", b"xy", results=True),
            server.file(tmp_path / "o", results=True),
        ):
            assert [(result.name, result.data) for result in answer.results] == [("o/0", b"x"), ("o/1", b"y")]
        assert "can carry one" in server.pull("b/o", b"xy").error


def test_a_skipped_object_is_one_over_websocket_too() -> None:
    with Server(Skips) as server:
        answer = server.websocket("b/o", b"small")
        assert answer.skipped
        assert answer.error.startswith("skipped: it is small")
        assert not server.websocket("b/o", b"x").skipped


@pytest.mark.whole
def test_a_server_that_dies_says_so() -> None:
    with Server(Tells) as server:
        answer = server.put("b/o", b"x", "die")
        assert answer.error.startswith("the server was killed by SIGKILL")


def test_what_a_transform_prints_is_in_the_log(server: Server) -> None:
    assert server.put("b/faces", b"x", "print").body
    assert "[b/faces] three faces" in server.log


def test_a_class_that_is_defined_in_a_function_is_served() -> None:
    word = b"local"

    class Local(ETLServer):
        def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
            return word

    with Server(Local) as server:
        assert server.put("b/o", b"").body == b"local"


@pytest.mark.whole
def test_a_class_of_a_module_that_is_not_on_the_path_is_served(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(BUFFERED.read_text())
    script = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('elsewhere', sys.argv[1])\n"
        "module = sys.modules['elsewhere'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "from instore.testing import Server\n"
        "with Server(module.Buffered) as server:\n"
        "    print(server.put('b/o', b'x').body)\n"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path / "elsewhere.py")], capture_output=True, text=True
    )
    assert run.stdout == "b'<X>'\n", run.stderr


@pytest.mark.whole
def test_the_server_s_variables_are_the_test_s(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"x")
    with Server(Tells, environment={"ETL_DIRECT_FQN": "true"}) as server:
        assert server.file(tmp_path / "o").body.endswith(b"/%ob/o'")
        assert server.put("b/o", b"x").body == b"b/o||b'x'"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def broken(:", "SyntaxError"),
        pytest.param(
            "from instore import ETLServer\nclass A(ETLServer):\n pass", "A overrides none of", marks=pytest.mark.whole
        ),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL before it was ready",
            marks=pytest.mark.whole,
        ),
    ],
)
def test_a_transform_that_can_not_be_served_is_one_error(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "etl.py").write_text(text)
    with pytest.raises(ConfigurationError, match=sentence), Server(tmp_path / "etl.py"):
        pass


@pytest.mark.whole
def test_a_class_that_is_too_large_to_be_sent_is_one_error() -> None:
    table = os.urandom(200_000)

    class Large(ETLServer):
        def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
            return table

    with pytest.raises(ConfigurationError, match="too large to be sent, so put it into a module"), Server(Large):
        pass
