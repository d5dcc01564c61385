"""Results with a name, a content type or metadata, several of them, and none: what a request's answer has of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from instore import ETLServer, Result, Skip
from instore.errors import UnfitClassError
from instore.protocol.result_frames import END, ResultHead, encode_head, split_results
from instore.testing import Answer, Server

CODE = """
import instore
from instore import Result, Skip

def made(data):
    text = data.decode()
    if text == "typed":
        return Result(data, content_type="text/markdown")
    if text == "named":
        return Result(data, name="d/other")
    if text == "metadata":
        return Result(data, metadata={"lines": "1"})
    if text == "skip":
        raise Skip("too small")
    if text == "silent":
        raise Skip
    if text == "text":
        return Result("a text")
    return data

class Whole(instore.ETLServer):
    def transform(self, data, path, etl_args):
        return made(data)

class AsyncWhole(instore.ETLServer):
    async def transform(self, data, path, etl_args):
        return made(data)

class Batch(instore.ETLServer):
    def transform_batch(self, objects, paths, etl_args):
        results = []
        for data in objects:
            try:
                results.append(made(data))
            except Skip as skip:
                results.append(skip)
        return results

class Stream(instore.ETLServer):
    def transform_stream(self, reader, path, etl_args):
        data = reader.read()
        if data == b"late":
            yield b"a piece"
            raise Skip("too late")
        yield made(data)

class Many(instore.ETLServer):
    def transform_many(self, data, path, etl_args):
        for number, part in enumerate(data.decode().split(",")):
            if part == "fail":
                raise ValueError("a bad part")
            if part == "skip":
                raise Skip("not this one")
            yield {"unnamed": Result(b""), "bytes": b"x"}.get(part) or Result(
                part.encode(), name=part or "empty", metadata={"number": str(number)}
            )

class AsyncMany(instore.ETLServer):
    async def transform_many(self, data, path, etl_args):
        for result in Many.transform_many(self, data, path, etl_args):
            yield result

class ListMany(instore.ETLServer):
    async def transform_many(self, data, path, etl_args):
        return list(Many.transform_many(self, data, path, etl_args))
"""
WHOLE = ["Whole", *(pytest.param(name, marks=pytest.mark.whole) for name in ("AsyncWhole", "Batch"))]
MANY = ["Many", *(pytest.param(name, marks=pytest.mark.whole) for name in ("AsyncMany", "ListMany"))]
ELSEWHERE = "instore transform and the bucket jobs of instore node take it"


@pytest.fixture(scope="module", name="file")
def _file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("etl") / "classes.py"
    path.write_text(CODE)
    return str(path)


@pytest.fixture(scope="module", params=WHOLE)
def whole(request: pytest.FixtureRequest, file: str) -> Iterator[Server]:
    with Server(f"{file}:{request.param}") as server:
        yield server


@pytest.fixture(scope="module", params=MANY)
def many(request: pytest.FixtureRequest, file: str) -> Iterator[Server]:
    with Server(f"{file}:{request.param}") as server:
        yield server


@pytest.fixture(scope="module", name="stream")
def _stream(file: str) -> Iterator[Server]:
    with Server(f"{file}:Stream") as server:
        yield server


def ways(server: Server, data: bytes) -> dict[str, Answer]:
    """The answers to all requests that take one result."""
    return {
        "put": server.put("b/o", data),
        "pull": server.pull("b/o", data),
        "websocket": server.websocket("b/o", data),
        "direct put": server.pipeline([], "b/o", data),
    }


def test_a_content_type_goes_over_the_wire(whole: Server) -> None:
    for way, answer in ways(whole, b"typed").items():
        assert answer.body == b"typed", way
    assert whole.put("b/o", b"typed").headers["content-type"] == "text/markdown"
    assert whole.put("b/o", b"plain").headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(("data", "what"), [(b"named", "the name 'd/other'"), (b"metadata", "metadata")])
def test_a_name_or_metadata_fail_where_the_wire_has_no_place_for_them(whole: Server, data: bytes, what: str) -> None:
    for way, answer in ways(whole, data).items():
        assert answer.result is None
        if way == "websocket":  # which closes, so the reason is not the answer's
            continue
        assert answer.status == 422, way
        assert f"gave its result {what}, which the answer to a request can't carry; {ELSEWHERE}" in answer.error, way


def test_a_job_gets_the_name_and_the_metadata(whole: Server) -> None:
    named = whole.put("b/o", b"named", results=True)
    assert named.results == (Result(b"named", "d/other", "application/octet-stream"),)
    assert named.body == b"named"
    described = whole.put("b/o", b"metadata", results=True)
    assert described.results[0].metadata == {"lines": "1"}
    assert whole.put("b/o", b"plain", results=True).body == b"plain"


def test_a_skipped_object_is_an_error_that_says_so(whole: Server) -> None:
    for way, answer in ways(whole, b"skip").items():
        assert answer.result is None
        if way != "websocket":
            assert (answer.status, answer.error, answer.skipped) == (422, "skipped: too small", True), way
    assert whole.put("b/o", b"silent").error == "skipped"
    assert not whole.put("b/o", b"plain").skipped


@pytest.mark.whole
def test_a_pipeline_passes_a_skip_on(whole: Server, file: str) -> None:
    answer = whole.pipeline([f"{file}:Whole"], "b/o", b"skip")
    assert (answer.status, answer.error, answer.skipped) == (422, "skipped: too small", True)


def test_a_text_is_refused_as_it_is_without_a_result(whole: Server) -> None:
    assert "gave a Result str, not bytes" in whole.put("b/o", b"text").error


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"typed", "transform_stream yielded a Result; it takes pieces of bytes: return a Result from transform"),
        (b"skip", "skipped: too small"),
        (b"late", "Skip was raised behind a piece of the result; raise it before the first piece (skipped: too late)"),
    ],
)
def test_a_stream_is_skipped_before_its_first_piece_or_not_at_all(stream: Server, data: bytes, sentence: str) -> None:
    answer = stream.put("b/o", data)
    assert answer.status == 422
    assert sentence in answer.error
    assert answer.skipped == (data == b"skip")


def test_several_results_come_whole_each_with_its_name(many: Server) -> None:
    answer = many.put("b/o", b"one,,three", results=True)
    assert [(result.name, result.data) for result in answer.results] == [
        ("one", b"one"), ("empty", b""), ("three", b"three")
    ]  # fmt: skip
    assert [result.metadata for result in answer.results] == [{"number": str(number)} for number in range(3)]


def test_large_results_come_whole_too(many: Server) -> None:
    parts = [letter * 3_000_000 for letter in (b"a", b"b", b"c", b"d")]
    answer = many.put("b/o", b",".join(part[:100] for part in parts), results=True)
    assert len(answer.results) == 4
    names = [letter * 200 for letter in (b"a", b"b")]
    assert [result.data for result in many.put("b/o", b",".join(names), results=True).results] == names


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"one,fail,three", "ValueError: a bad part"),
        (b"one,one", "transform_many yielded two results that are called 'one'"),
        (b"one,unnamed", "transform_many yielded a Result without a name; each of several needs its own"),
        (b"one,bytes", "transform_many yielded bytes; it takes instore.Result(data, name=...)"),
        (b"one,a//b", "'a//b' can't be a result's name: a part between slashes is empty"),
        (b"one,../up", "can't be a result's name: a part between slashes is '..'"),
    ],
)
def test_one_that_fails_leaves_no_results(many: Server, data: bytes, sentence: str) -> None:
    answer = many.put("b/o", data, results=True)
    assert (answer.status, answer.results) == (422, ())
    assert sentence in answer.error


def test_all_results_of_an_object_can_be_skipped(many: Server) -> None:
    answer = many.put("b/o", b"one,skip", results=True)
    assert (answer.error, answer.skipped, answer.results) == ("skipped: not this one", True, ())


def test_several_results_are_refused_where_one_is_expected(many: Server) -> None:
    for way, answer in ways(many, b"one,two").items():
        assert answer.result is None, way
        if way != "websocket":
            assert answer.status == 422, way
            assert (
                f"transform_many makes several results of {'b/o' if way != 'pull' else 'ais/@#/b/o'!r}" in answer.error
            )
            assert answer.error.endswith(ELSEWHERE), way


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"data": 1}, "a Result's data is int; it takes bytes"),
        ({"data": b"", "name": 1}, "a Result's name is 1; it takes a text"),
        ({"data": b"", "name": "/x"}, "'/x' can't be a result's name: a part between slashes is empty"),
        ({"data": b"", "name": "a/../b"}, "'a/../b' can't be a result's name: a part between slashes is '..'"),
        ({"data": b"", "name": "a\0"}, "it holds a NUL"),
        ({"data": b"", "name": "\ud800"}, "it is not UTF-8"),
        ({"data": b"", "content_type": "png"}, "'png' is no content type; it takes one such as image/png"),
        ({"data": b"", "content_type": "a/b\r\nX: y"}, "is no content type"),
        ({"data": b"", "metadata": ["x"]}, "metadata is ['x']; it takes texts by their names"),
        ({"data": b"", "metadata": {"x": 1}}, "metadata has 'x': 1; it takes texts by their names"),
        ({"data": b"", "metadata": {"a b": "1"}}, "metadata has the name 'a b'; it takes letters, digits, - and _"),
        ({"data": b"", "metadata": {"x": "1\r\n"}}, "it takes a text of one line"),
    ],
)
def test_a_result_that_can_be_none_is_refused_when_it_is_made(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        Result(**arguments)
    assert sentence in str(error.value)


class Both(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: Any) -> bytes:
        return b""

    def transform_many(self, data: bytes | str, path: str, etl_args: Any) -> Iterator[Result]:
        yield Result(b"", "x")


class TooFew(ETLServer):
    def transform_many(self, data: bytes | str) -> Iterator[Result]:  # type: ignore[override]
        yield Result(b"", "x")


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (Both, "Both overrides transform_many and transform; write one of them"),
        (TooFew, r"TooFew.transform_many\(self, data: .*\) .* can't be called with \(self, data, path, etl_args\)"),
    ],
)
def test_a_class_that_can_not_make_several_is_refused_when_it_is_made(cls: type[ETLServer], sentence: str) -> None:
    with pytest.raises(UnfitClassError, match=sentence):
        cls()


HEAD = encode_head(ResultHead("x", "a/b", {}, 3, is_only=True))


@pytest.mark.parametrize("body", [b"", b"\0\0\0", HEAD, HEAD + b"ab", HEAD + b"abc", HEAD + b"abc" + END + b"x"])
def test_results_that_are_not_whole_are_refused(body: bytes) -> None:
    from instore.errors import AnswerError, IncompleteAnswerError
    from instore.etl.result_stream import ResultStream

    with pytest.raises(ValueError, match=r"."):
        list(split_results(body))

    async def one_by_one(size: int) -> list[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), size):
                yield body[start : start + size]

        results = []
        async for _, data in ResultStream(pieces()).results():
            results.append(b"".join([piece async for piece in data]))
        return results

    for size in (1, 7, 1000):
        with pytest.raises((AnswerError, IncompleteAnswerError)):
            asyncio.run(one_by_one(size))


def test_a_skip_says_why() -> None:
    assert (str(Skip()), Skip().reason) == ("skipped", "")
    assert (str(Skip("too small")), Skip("too small").reason) == ("skipped: too small", "too small")
