"""What a node has acknowledged is there after it was killed, and what it says of its jobs is true."""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from aistore.sdk.errors import ErrBckNotFound

from tests.support.node import TARGETS, RunningNode, running_node, wait_until


def content_of(name: str) -> bytes:
    """What an object of this name holds: any part or mixture of two would not have the right hash at its front."""
    body = name.encode() * random.Random(name).choice([1, 100, 20_000, 300_000])
    return hashlib.sha256(body).digest() + body


def is_whole(content: bytes) -> bool:
    return hashlib.sha256(content[32:]).digest() == content[:32]


class Putters:
    """Threads that put objects until the node is gone, and remember what was acknowledged."""

    def __init__(self, node: RunningNode, turn: int, count: int = 4) -> None:
        self.acknowledged: list[str] = []
        self._url = f"{node.endpoint}/v1/objects/b"
        self._threads = [threading.Thread(target=self._put, args=(f"{turn}/{number}",)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _put(self, prefix: str) -> None:
        with requests.Session() as session:
            for number in range(1_000_000):
                name = f"{prefix}/{number}"
                try:
                    answer = session.put(f"{self._url}/{name}", data=content_of(name))
                except requests.ConnectionError:
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged.append(name)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("targets", TARGETS)
def test_acknowledged_puts_outlive_the_process(tmp_path: Path, targets: int) -> None:
    acknowledged: list[str] = []
    for turn in range(4):
        with running_node(tmp_path, targets=targets) as node:
            client = node.client()
            bucket = client.bucket("b").create(exist_ok=True)
            there = {entry.name for entry in bucket.list_all_objects()}
            assert there >= set(acknowledged)
            for name in there:
                content = requests.get(f"{node.endpoint}/v1/objects/b/{name}").content
                assert content == content_of(name)
            assert list(node.folder.glob("t*/@ais/b/%wk/*")) == []
            putters = Putters(node, turn)
            wait_until(lambda: len(putters.acknowledged) > 50 * random.Random(turn).random())  # noqa: B023
            node.kill()
            putters.join()
            acknowledged += putters.acknowledged


@pytest.mark.whole
def test_a_copy_that_was_cut_off_is_aborted_and_counts_no_more_than_is_there(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=2) as node:
        source = node.client().bucket("source").create()
        with ThreadPoolExecutor(8) as threads:
            names = [f"o{number}" for number in range(400)]
            list(threads.map(lambda name: source.object(name).get_writer().put_content(content_of(name)), names))
        job_id = source.copy(node.client().bucket("copy"))
        wait_until(lambda: list(node.folder.glob("t*/@ais/copy/%ob/*")))
        node.kill()
    with running_node(tmp_path, targets=2) as node:
        client = node.client()
        copied = [entry.name for entry in client.bucket("copy").list_all_objects()]
        for name in copied:
            assert is_whole(client.bucket("copy").object(name).get_reader().read_all())
        (first, *_) = snapshots = client.job(job_id).get_details().list_snapshots()
        assert first.kind == "copy-bck"
        status = client.job(job_id).status()
        counted = sum(one.stats.objects for one in snapshots if one.stats)
        assert counted <= len(copied) <= counted + 2  # each target may have stored one that it did not come to count
        if len(copied) < 400:
            assert status.aborted
            assert "the node was stopped before the job was done" in status.err
            assert f"{counted} object" in status.err
        assert client.bucket("source").list_all_objects(page_size=1000) != []
        assert client.job(job_id).wait(timeout=1, verbose=False).success is not status.aborted


@pytest.mark.whole
def test_a_renaming_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=3) as node:
        bucket = node.client().bucket("old").create()
        names = [f"f{number % 7}/o{number}" for number in range(500)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: bucket.object(name).get_writer().put_content(name.encode()), names))
        job_id = bucket.rename("new")
        node.kill()
    with running_node(tmp_path, targets=3) as node:
        client = node.client()
        wait_until(lambda: client.job(job_id).status().end_time)
        assert client.job(job_id).status().err == ""
        assert sorted(entry.name for entry in client.bucket("new").list_all_objects()) == sorted(names)
        smap = client.cluster().get_info()
        for name in names[::50]:
            thing = client.bucket("new").object(name)
            assert thing.get_reader().read_all() == name.encode()
            assert thing.props.location.startswith(f"t[{smap.get_target_for_object(thing.uname).daemon_id}]")
        with pytest.raises(ErrBckNotFound):
            client.bucket("old").list_objects()


def test_buckets_and_jobs_are_remembered(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=2) as node:
        client = node.client()
        uuid = client.cluster().get_uuid()
        client.bucket("a").create().object("x").get_writer().put_content(b"x")
        client.bucket("b").create()
        client.bucket("b").delete()
        job_id = client.bucket("a").copy(client.bucket("c"))
        wait_until(lambda: client.job(job_id).status().end_time)
        before = client.job(job_id).get_details()
        node.kill()
    with running_node(tmp_path, targets=2) as node:
        client = node.client()
        assert client.cluster().get_uuid() == uuid
        assert [one.name for one in client.cluster().list_buckets()] == ["a", "c"]
        assert client.job(job_id).get_details() == before
        assert client.bucket("a").object("x").props.obj_version == "1"


def test_a_destroyed_bucket_stays_so_and_its_space_is_freed(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        bucket = node.client().bucket("b").create()
        bucket.object("o").get_writer().put_content(b"x")
        (node.folder / "t1" / "@ais" / "b").rename(node.folder / "t1" / "trash" / "left")  # as if killed right there
        bucket.delete()
        node.kill()
    with running_node(tmp_path) as node:
        assert node.client().cluster().list_buckets() == []
        wait_until(lambda: list((node.folder / "t1" / "trash").iterdir()) == [])


@pytest.mark.whole
def test_two_clients_that_put_list_and_delete_lose_nothing(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=3) as node:
        node.client().bucket("b").create()
        stop = threading.Event()

        def work(who: str) -> set[str]:
            bucket = node.client().bucket("b")
            mine: set[str] = set()
            dice = random.Random(who)
            for number in range(150):
                name = f"{dice.choice('xyz')}/{who}/{number}"
                bucket.object(name).get_writer().put_content(content_of(name))
                mine.add(name)
                if dice.random() < 0.4:
                    gone = dice.choice(sorted(mine))
                    bucket.object(gone).delete()
                    mine.discard(gone)
                if number % 25 == 0:
                    listed = [entry.name for entry in bucket.list_all_objects(page_size=20)]
                    assert listed == sorted(set(listed))
                    assert {one for one in listed if f"/{who}/" in one} == mine
            return mine

        def read() -> None:
            with requests.Session() as session:
                while not stop.is_set():
                    name = f"{random.choice('xyz')}/{random.choice('12')}/{random.randrange(150)}"
                    answer = session.get(f"{node.endpoint}/v1/objects/b/{name}")
                    assert answer.status_code in (200, 404), answer.text
                    assert answer.status_code == 404 or answer.content == content_of(name)

        with ThreadPoolExecutor(3) as threads:
            reader = threads.submit(read)
            expected = [threads.submit(work, who) for who in "12"]
            kept = set().union(*(one.result() for one in expected))
            stop.set()
            reader.result()
        bucket = node.client().bucket("b")
        assert {entry.name for entry in bucket.list_all_objects()} == kept
        assert node.log.read_text() == ""


@pytest.mark.soak
def test_a_hundred_thousand_objects_are_listed_right(tmp_path: Path) -> None:
    names = sorted({f"{number:06}" if number % 10 else f"f{number % 1000}/{number}" for number in range(100_000)})
    with running_node(tmp_path, targets=2) as node:
        bucket = node.client().bucket("b").create()

        def put(part: list[str]) -> None:
            with requests.Session() as session:
                for name in part:
                    assert session.put(f"{node.endpoint}/v1/objects/b/{name}", data=b"x").status_code == 200

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(put, (names[start::8] for start in range(8))))
        assert [entry.name for entry in bucket.list_all_objects()] == names
        assert [entry.name for entry in bucket.list_all_objects(page_size=999, props="name")] == names
        assert [entry.name for entry in bucket.list_all_objects(prefix="f7/")] == [
            n for n in names if n.startswith("f7/")
        ]
