"""Buckets go at once, however much is in them, and their space is freed behind that."""

import threading
from pathlib import Path

from aistore.sdk.bucket import Bucket

from instore.node.cluster import Cluster
from instore.node.metadata import BucketRecord, NodeFolder
from instore.store.names import Bucket as BucketName
from tests.support.node import RunningNode, wait_until


def test_a_deletion_is_answered_while_another_one_still_frees_its_space(tmp_path: Path) -> None:
    cluster = Cluster(NodeFolder(str(tmp_path / "node"), 1), ["http://127.0.0.1:1"], "http://127.0.0.1:2")
    (target,) = cluster.targets
    large, small = BucketName("large"), BucketName("small")
    for bucket in (large, small):
        cluster.create_bucket(bucket, BucketRecord(1))
        target.store.put(bucket, "o", [b"x"])
    freeing, go_on = threading.Event(), threading.Event()
    empty_trash = target.store.empty_trash

    def slowly(stopping: threading.Event | None = None) -> None:
        freeing.set()
        go_on.wait()
        empty_trash(stopping)

    target.store.empty_trash = slowly  # type: ignore[method-assign]
    cluster.destroy_bucket(large)
    assert freeing.wait(timeout=60)
    cluster.destroy_bucket(small)
    cluster.create_bucket(large, BucketRecord(2))
    assert cluster.folder.buckets() == [large]
    assert list(cluster.walk(large)) == []
    go_on.set()
    wait_until(lambda: list((tmp_path / "node" / "t1" / "trash").iterdir()) == [])
    cluster.close()


def test_the_space_of_a_deleted_bucket_is_freed(node: RunningNode, bucket: Bucket) -> None:
    for number in range(10):
        bucket.object(f"a/{number}").get_writer().put_content(b"x")
    bucket.delete()
    wait_until(lambda: list(node.folder.glob("t*/trash/*")) == [])
