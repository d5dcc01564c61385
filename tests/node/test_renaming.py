"""Renaming a bucket whose objects would be in each other's way: refused before anything moves, or nothing lost."""

from pathlib import Path

import pytest
import requests
from aistore import Client
from aistore.sdk.errors import AISError

from instore.errors import NameConflictError
from instore.node.cluster import Cluster
from instore.node.metadata import BucketRecord, NodeFolder
from instore.store.names import Bucket
from tests.support.node import running_node

TARGETS = 3


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    urls = [f"http://127.0.0.1:{port}" for port in range(1, TARGETS + 1)]
    return Cluster(NodeFolder(str(tmp_path / "node"), TARGETS), urls, "http://127.0.0.1:9", "")


def names_that_part(cluster: Cluster, source: Bucket, meet_in: Bucket) -> tuple[str, str]:
    """Two names, the one a folder of the other, on two targets in one bucket and on one in another."""
    for number in range(1000):
        one, two = f"d{number}", f"d{number}/e"
        apart = cluster.owner(source, one) is not cluster.owner(source, two)
        if apart and cluster.owner(meet_in, one) is cluster.owner(meet_in, two):
            return one, two
    raise AssertionError("no such names")


@pytest.mark.parametrize("between", [[], ["-x", ".y", "0"]], ids=["alone", "others between"])
def test_names_that_would_meet_are_found(cluster: Cluster, between: list[str]) -> None:
    old, new = Bucket("old"), Bucket("new")
    one, two = names_that_part(cluster, old, new)
    cluster.create_bucket(old, BucketRecord(1))
    for name in (one, two, *(one + tail for tail in between)):
        cluster.store(old, name).put(old, name, [b"x"])
    with pytest.raises(NameConflictError, match=f"{one!r} and {two!r} would lie on one target"):
        cluster.check_names(old, new)
    cluster.store(old, two).delete(old, two)
    cluster.check_names(old, new)


def test_a_rename_that_would_lose_an_object_is_refused_before_anything_moves(tmp_path: Path) -> None:
    with running_node(tmp_path, TARGETS) as node:
        client = Client(node.endpoint)
        bucket = client.bucket("old").create()
        names = [f"d{number}{tail}" for number in range(40) for tail in ("", "/e")]
        stored = []
        for name in names:
            answer = requests.put(f"{node.endpoint}/v1/objects/old/{name}", data=name, timeout=30)
            if answer.ok:
                stored.append(name)
        with pytest.raises(AISError, match="would lie on one target"):
            bucket.rename("new")
        bucket = client.bucket("old")
        assert sorted(entry.name for entry in bucket.list_all_objects()) == sorted(stored)
        assert all(bucket.object(name).get_reader().read_all() == name.encode() for name in stored)
        assert not any(one.name == "new" for one in client.cluster().list_buckets())


def test_an_object_that_is_put_in_the_way_meanwhile_costs_nothing(cluster: Cluster) -> None:
    old, new = Bucket("old"), Bucket("new")
    one, two = names_that_part(cluster, old, new)
    cluster.create_bucket(old, BucketRecord(1))
    store = cluster.store(old, two)
    store.put(old, two, [b"old"])
    cluster.begin_rename(old, new, BucketRecord(2))
    cluster.store(new, one).put(new, one, [b"new"])
    with pytest.raises(NameConflictError):
        store.move(old, two, cluster.store(new, two), new)
    cluster.end_rename(old, new, some_left=True)
    assert cluster.store(old, two).head(old, two).size == 3
    assert cluster.store(new, one).head(new, one).size == 3
    assert set(cluster.folder.buckets()) == {old, new}


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_is_not_taken_for_an_object_that_is_there(cluster: Cluster, first: int) -> None:
    old, new = Bucket("old"), Bucket("new")
    names = names_that_part(cluster, old, new)
    cluster.create_bucket(old, BucketRecord(1))
    cluster.create_bucket(new, BucketRecord(1))
    for name in names:
        cluster.store(old, name).put(old, name, [b"x"])
    before, after = names[first], names[1 - first]
    cluster.store(old, before).move(old, before, cluster.store(new, before), new)
    with pytest.raises(NameConflictError):
        cluster.store(old, after).move(old, after, cluster.store(new, after), new)
    assert cluster.store(old, after).head(old, after).size == 1
    assert cluster.store(new, before).head(new, before).size == 1


def test_a_bucket_that_is_being_renamed_is_not_renamed_again(cluster: Cluster) -> None:
    cluster.create_bucket(Bucket("old"), BucketRecord(1))
    cluster.begin_rename(Bucket("old"), Bucket("new"), BucketRecord(2))
    with pytest.raises(Exception, match="is still being renamed"):
        cluster.begin_rename(Bucket("new"), Bucket("newer"), BucketRecord(3))
    cluster.end_rename(Bucket("old"), Bucket("new"))
    cluster.begin_rename(Bucket("new"), Bucket("newer"), BucketRecord(3))
