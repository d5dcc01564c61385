"""What writes to a node's disk, cancelled at every await, once and more often: no file is closed under a thread."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from instore.node.bodies import BodyWriter, take_body
from instore.node.cluster import Cluster
from instore.node.jobs.target_transform import store_pieces
from instore.node.metadata import BucketRecord, NodeFolder
from instore.store import multipart
from instore.store.appends import Appending
from instore.store.names import Bucket
from tests.support.cancelling import TIMES, cancelled_at

BUCKET = Bucket("b")
PIECES = [b"x" * 700_000, b"y" * 700_000, b"z" * 700_000]
BODY = b"".join(PIECES)


class Request:
    """A request whose body comes in pieces."""

    def __init__(self) -> None:
        self._pieces = list(PIECES)

    @property
    def ended(self) -> bool:
        return not self._pieces

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""


class Watched:
    """A writer that takes its time, and notes what is done to it at the wrong time."""

    def __init__(self, writer: BodyWriter[Any], wrong: list[str]) -> None:
        self._writer = writer
        self._wrong = wrong
        self._mutex = threading.Lock()
        self._ended = False

    def write(self, data: bytes) -> None:
        self._alone("write", lambda: self._writer.write(data))

    def commit(self) -> Any:
        return self._alone("commit", self._writer.commit)

    def abort(self) -> None:
        self._alone("abort", self._writer.abort)
        self._ended = True

    def _alone(self, what: str, work: Callable[[], Any]) -> Any:
        if not self._mutex.acquire(blocking=False):
            self._wrong.append(f"{what} while something else is done to it")
            return None
        try:
            if self._ended and what != "abort":
                self._wrong.append(f"{what} after its end")
            time.sleep(0.002)
            return work()
        finally:
            self._mutex.release()


class Place:
    """A node's cluster, and what was done wrong on it."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(NodeFolder(str(folder), 1), ["http://127.0.0.1:1"], "http://127.0.0.1:2", "")
        self.cluster.create_bucket(BUCKET, BucketRecord(1))
        self.store = self.cluster.targets[0].store
        self.wrong: list[str] = []

    def watched(self, begin: Callable[[], BodyWriter[Any]]) -> Callable[[], Watched]:
        return lambda: Watched(begin(), self.wrong)


async def _pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        await asyncio.sleep(0)
        yield piece


class _WatchedStore:
    """A store whose uploads are watched."""

    def __init__(self, place: "Place") -> None:
        self._place = place

    def upload(self, bucket: Bucket, name: str) -> Any:
        watched = self._place.watched(lambda: self._place.store.upload(bucket, name))()
        return _Closing(watched)


class _Closing:
    """What `with` does to an upload."""

    def __init__(self, watched: Watched) -> None:
        self.write, self.commit, self.abort = watched.write, watched.commit, watched.abort

    def __enter__(self) -> "_Closing":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()


async def store_result(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.cluster, "store", lambda *_: _WatchedStore(place))
    stored: list[int] = []
    try:
        await store_pieces(place.cluster, BUCKET, "o", _pieces(), stored.append)
    finally:
        there = list(place.store.walk(BUCKET)) == ["o"]
        assert stored == ([len(BODY)] if there else [])


async def put(place: Place) -> None:
    await take_body(place.cluster, place.watched(lambda: place.store.upload(BUCKET, "o")), Request())  # type: ignore[arg-type]


async def append(place: Place) -> None:
    begin = place.watched(lambda: Appending(place.store, BUCKET, "o", ""))
    await take_body(place.cluster, begin, Request())  # type: ignore[arg-type]


async def part(place: Place) -> None:
    upload = await place.cluster.disk(multipart.begin, place.store, BUCKET, "o")
    begin = place.watched(lambda: multipart.part(place.store, BUCKET, "o", upload, 1))
    await take_body(place.cluster, begin, Request())  # type: ignore[arg-type]


WAYS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "put": put,
    "append": append,
    "part": part,
    "result of a job": store_result,
}


@TIMES
@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_never_closed_under_a_thread_that_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, times: int
) -> None:
    more = (monkeypatch,) if way == "result of a job" else ()

    async def run() -> None:
        for step in itertools.count():
            place = Place(tmp_path / str(step))
            over = await cancelled_at(step, times, WAYS[way](place, *more))
            assert place.wrong == []
            stored = list(place.store.walk(BUCKET))
            assert stored in ([], ["o"])
            if stored:
                with place.store.open(BUCKET, "o") as opened:
                    assert opened.read(0, len(BODY) + 1) == BODY
            place.cluster.close()
            if over:
                assert step > 3
                return

    asyncio.run(run())
