"""`--members`: a class written for objects goes over the members of shards, whatever its shape and the way in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from instore.testing import Answer
from instore.testing import Server as TransformServer
from tests.server.test_websocket import exchange, ws
from tests.shards.archives import KINDS, content, shard, tar
from tests.support.servers import Server, running

CHECK = """import instore

def check(data, path):
    if b"bad" in data:
        raise ValueError(f"{path} is bad")
    return data.upper()

class Upper(instore.ETLServer):
"""
SHAPES = {
    "buffered": """
    def transform(self, data, path, etl_args):
        return check(data, path) + etl_args.encode()
""",
    "streamed": """
    def transform_stream(self, reader, path, etl_args):
        for data in reader:
            yield check(data, path)
        yield etl_args.encode()
""",
    "async-buffered": """
    async def transform(self, data, path, etl_args):
        return check(data, path) + etl_args.encode()
""",
    "async-streamed": """
    async def transform_stream(self, reader, path, etl_args):
        async for data in reader:
            yield check(data, path)
        yield etl_args.encode()
""",
}
EVERYDAY = ("async-streamed",)
FILES = {"d/a.txt": b"one\ntwo\n", "b.bin": b"as it is", "bad.txt": b"good\nbad\n", "e.txt": b""}
DONE = {"d/a.txt": b"ONE\nTWO\n!", "b.bin": b"as it is", "e.txt": b"!"}


def of_shape(shape: str) -> str:
    return CHECK + SHAPES[shape]


@pytest.fixture(
    scope="module", params=[pytest.param(one, marks=() if one in EVERYDAY else pytest.mark.whole) for one in SHAPES]
)
def dropping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--members", "*.txt", "--members-on-error", "drop")
    with running(tmp_path_factory.mktemp("drop"), of_shape(request.param), options=options) as server:
        yield server


def put(server: Server, data: bytes, etl_args: str = "!") -> requests.Response:
    return requests.put(f"{server.url}/photos/train.tar", data=data, params={"etl_args": etl_args}, timeout=30)


@pytest.mark.parametrize("kind", KINDS)
def test_matching_members_are_transformed_and_the_others_copied(dropping: Server, kind: str) -> None:
    answer = put(dropping, shard(kind, FILES))
    assert answer.status_code == 200
    assert list(content(kind, answer.content).items()) == list(DONE.items())
    line = "dropped photos/train.tar!bad.txt: the transform of 'photos/train.tar!bad.txt' failed: ValueError: "
    assert f"{line}photos/train.tar/bad.txt is bad" in dropping.log_text()


def test_members_of_shards_go_over_a_websocket(dropping: Server) -> None:
    with ws(dropping) as connection:
        for _ in range(2):
            answer = exchange(connection, tar(FILES), path="photos/train.tar", etl_args="!")
            assert isinstance(answer, bytes)
            assert content("tar", answer) == DONE


def test_a_damaged_shard_is_a_failure_and_no_member_is_dropped_for_it(dropping: Server) -> None:
    whole = tar({"a.txt": b"x" * 2000, "b.txt": b"y\n" * 200_000})
    before = dropping.log_text().count("dropped")
    for end in (700, 512 + 2048, 300_000):
        with pytest.raises((requests.HTTPError, requests.ConnectionError)):
            put(dropping, whole[:end]).raise_for_status()
    assert dropping.log_text().count("dropped") == before
    answer = put(dropping, b"no shard" * 100)
    assert (answer.status_code, "it is no shard" in answer.text) == (422, True)
    with ws(dropping) as connection, pytest.raises(ConnectionClosed):
        exchange(connection, whole[:700], path="photos/train.tar")


def test_a_shard_without_a_member_left_is_a_failure(dropping: Server) -> None:
    answer = put(dropping, tar({"bad.txt": b"bad"}))
    assert (answer.status_code, answer.text) == (422, "a shard without members is not written")


@pytest.mark.parametrize(
    "shape", [pytest.param(one, marks=() if one == "buffered" else pytest.mark.whole) for one in SHAPES]
)
def test_what_fails_is_kept_as_it_was(tmp_path: Path, shape: str) -> None:
    options = ("--members", "**/*.txt", "--members-on-error", "keep")
    with running(tmp_path, of_shape(shape), options=options) as server:
        answer = put(server, tar(FILES))
        assert list(content("tar", answer.content).items()) == [(n, DONE.get(n, FILES[n])) for n in FILES]
        assert "kept photos/train.tar!bad.txt: " in server.log_text()


@pytest.mark.whole
def test_a_member_that_fails_fails_its_shard(tmp_path: Path) -> None:
    with running(tmp_path, of_shape("buffered"), options=("--members", "*.txt")) as server:
        answer = put(server, tar({"bad.txt": b"bad"}))
        assert answer.status_code == 422
        assert answer.text.startswith("the transform of 'photos/train.tar!bad.txt' failed: ValueError: ")
        assert put(server, tar(DONE)).status_code == 200


@pytest.mark.whole
def test_what_swallows_damage_makes_no_member(tmp_path: Path) -> None:
    swallows = """
        import instore

        class Swallows(instore.ETLServer):
            def transform_stream(self, reader, path, etl_args):
                try:
                    yield reader.read()
                except Exception:
                    yield b"nothing"
    """
    with running(tmp_path, swallows, options=("--members", "*", "--members-on-error", "keep")) as server:
        answer = put(server, tar({"a.txt": b"x" * 2000})[:1024])
        assert (answer.status_code, "truncated" in answer.text) == (422, True)


@pytest.mark.whole
def test_what_closes_its_reader_closes_no_shard(tmp_path: Path) -> None:
    closes = """
        import io
        import instore

        class Closes(instore.ETLServer):
            def transform_stream(self, reader, path, etl_args):
                line = io.TextIOWrapper(reader).readline()  # closes the reader when it is forgotten
                if "bad" in line:
                    reader.close()
                    raise ValueError("bad")
                yield line.upper().encode()
    """
    with running(tmp_path, closes, options=("--members", "*.txt", "--members-on-error", "keep")) as server:
        answer = put(server, tar({"a.txt": b"one\ntwo", "b.txt": b"bad\n" * 9000, "c.txt": b"three"}))
        assert content("tar", answer.content) == {"a.txt": b"ONE\n", "b.txt": b"bad\n" * 9000, "c.txt": b"THREE"}


@pytest.mark.whole
def test_an_error_that_is_not_the_members_is_no_reason_to_drop_it(tmp_path: Path) -> None:
    lost = """
        import instore
        from instore.errors import ETLDirectPutTransientError

        class Lost(instore.ETLServer):
            def transform(self, data, path, etl_args):
                raise ETLDirectPutTransientError("http://next", OSError("lost"), bail_without_local_retry=True)
    """
    with running(tmp_path, lost, options=("--members", "*", "--members-on-error", "drop")) as server:
        assert put(server, tar({"a.txt": b"x"})).status_code == 503


@pytest.mark.whole
def test_members_get_the_settings_of_the_class(tmp_path: Path) -> None:
    tells = """
        import json
        import instore

        class Tells(instore.ETLServer):
            concurrency = 3
            wants_raw_path = True
            encodes_text = True

            def transform(self, data, path, etl_args):
                return json.dumps([path, etl_args])
    """
    with running(tmp_path, tells, environment={"INSTORE_MEMBERS": "*"}) as server:
        answer = put(server, tar({"a b": b"x"}), "some args")
        told = json.loads(content("tar", answer.content)["a b"])
        assert told == ["/photos/train.tar/a%20b", "some args"]
        assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.whole
def test_the_documented_transform_of_ones_own_makes_shards(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/shards.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with running(tmp_path, code) as server:
        answer = put(server, tar({"a": b"small", "b": b"x" * 1000}))
        assert content("tar", answer.content) == {"small/a": b"SMALL"}
        answer = put(server, tar({"a": b"small"})[:512])
        assert (answer.status_code, "truncated" in answer.text) == (422, True)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"INSTORE_MEMBERS": "*.txt", "INSTORE_MEMBERS_ON_ERROR": "ignore"}, "neither 'fail' nor 'drop' nor 'keep'"),
        ({"INSTORE_MEMBERS": "{1..100000}"}, "is no pattern"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence), running(tmp_path, of_shape("buffered"), environment=variables):
        pass


NAMED = """
import instore
from instore import Result, Skip

class Named(instore.ETLServer):
    def transform(self, data, path, etl_args):
        text = data.decode().strip()
        if text == "skip":
            raise Skip("too small")
        if text == "metadata":
            return Result(data, metadata={"a": "b"})
        return Result(data.upper(), name=text) if text.startswith("to/") else data.upper()

class Several(instore.ETLServer):
    def transform_many(self, data, path, etl_args):
        assert self.object.name == "train.tar"
        for part in data.decode().split(","):
            if part == "skip":
                raise Skip
            yield Result(part.encode(), name=part)
"""


@pytest.fixture(name="named")
def _named(tmp_path: Path) -> Path:
    path = tmp_path / "named.py"
    path.write_text(NAMED)
    return path


def of_members(path: Path, cls: str, files: dict[str, bytes], on_error: str = "fail") -> Answer:
    environment = {"INSTORE_MEMBERS": "*.txt", "INSTORE_MEMBERS_ON_ERROR": on_error}
    with TransformServer(f"{path}:{cls}", environment) as server:
        return server.put("photos/train.tar", tar(files))


def test_a_member_may_have_another_name_or_be_left_out(named: Path) -> None:
    answer = of_members(named, "Named", {"a.txt": b"skip", "b.txt": b"to/c.txt", "d.txt": b"d", "e.bin": b"to/f"})
    assert list(content("tar", answer.body).items()) == [("to/c.txt", b"TO/C.TXT"), ("d.txt", b"D"), ("e.bin", b"to/f")]


def test_a_member_may_become_several_or_none(named: Path) -> None:
    answer = of_members(named, "Several", {"a.txt": b"x,y/z", "b.txt": b"u,skip", "c.txt": b"v"})
    assert content("tar", answer.body) == {"x": b"x", "y/z": b"y/z", "v": b"v"}


def test_a_shard_of_which_all_members_are_skipped_is_skipped(named: Path) -> None:
    answer = of_members(named, "Named", {"a.txt": b"skip", "b.txt": b"skip"})
    assert (answer.skipped, answer.error) == (True, "skipped: all of its members were skipped")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.txt": b"to/x", "b.txt": b"to/x"}, "two members would be called 'to/x', one of them by its Result"),
        ({"to/x.txt": b"x", "b.txt": b"to/x.txt"}, "two members would be called 'to/x.txt'"),
        ({"b.txt": b"to/x.txt", "to/x.txt": b"x"}, "two members would be called 'to/x.txt'"),
        ({"b.txt": b"to/x.bin", "to/x.bin": b"x"}, "two members would be called 'to/x.bin'"),
        ({"a.txt": b"metadata"}, "a member of a shard has no metadata, and a Result for one has some"),
    ],
)
def test_what_a_shard_has_no_place_for_is_refused(named: Path, files: dict[str, bytes], sentence: str) -> None:
    answer = of_members(named, "Named", files)
    assert answer.result is None
    assert sentence in answer.error
