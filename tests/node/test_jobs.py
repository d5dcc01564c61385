"""Jobs over buckets and groups of objects, and what is told of them."""

from datetime import UTC, datetime, timedelta

import pytest
from aistore import Client
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError, ErrBckAlreadyExists, ErrBckNotFound, JobInfoNotFound
from aistore.sdk.multiobj import ObjectRange
from aistore.sdk.wait_result import WaitResult

from tests.support.node import RunningNode, wait_until

NAMES = [f"shard-{number:03}.tar" for number in range(30)] + ["x/y.txt"]


@pytest.fixture
def full(bucket: Bucket) -> Bucket:
    for name in NAMES:
        bucket.object(name).get_writer().put_content(name.encode())
    return bucket


def other(client: Client, bucket: Bucket) -> Bucket:
    return client.bucket(bucket.name + "-other")


def contents(bucket: Bucket) -> dict[str, bytes]:
    return {entry.name: bucket.object(entry.name).get_reader().read_all() for entry in bucket.list_all_objects()}


def end(client: Client, job_id: str) -> WaitResult:
    """Wait for a job's end."""
    wait_until(lambda: client.job(job_id).status().end_time)
    return client.job(job_id).wait(timeout=1, verbose=False)


def done(client: Client, job_id: str) -> tuple[int, int]:
    """Wait for a job; the objects and bytes that it has done."""
    result = end(client, job_id)
    assert result.success, result.error
    stats = [snapshot.stats for snapshot in client.job(job_id).get_details().list_snapshots() if snapshot.stats]
    assert sum(one.out_objects for one in stats) == sum(one.in_objects for one in stats)
    assert sum(one.out_bytes for one in stats) == sum(one.in_bytes for one in stats)
    return sum(one.objects for one in stats), sum(one.bytes for one in stats)


def test_a_bucket_is_copied(client: Client, full: Bucket) -> None:
    to = other(client, full)
    job_id = full.copy(to, prefix_filter="shard-", prepend="copy/", ext={"tar": "tgz"})
    assert done(client, job_id) == (30, 30 * len(NAMES[0]))
    assert contents(to) == {"copy/" + name.replace(".tar", ".tgz"): name.encode() for name in NAMES[:-1]}


def test_synchronising_deletes_what_is_gone_from_the_source_and_nothing_else(client: Client, full: Bucket) -> None:
    to = other(client, full)
    assert done(client, full.copy(to, prepend="copy/", ext={"tar": "tgz"}))[0] == len(NAMES)
    to.object("own.txt").get_writer().put_content(b"own")
    for name in (NAMES[0], NAMES[-1]):
        full.object(name).delete()
    assert done(client, full.copy(to, prepend="copy/", ext={"tar": "tgz"}))[0] == len(NAMES) - 2
    assert len(contents(to)) == len(NAMES) + 1
    assert done(client, full.copy(to, prepend="copy/", ext={"tar": "tgz"}, dry_run=True, sync=True))[0] > 0
    assert done(client, full.copy(to, "shard", prepend="copy/", ext={"tar": "tgz"}, sync=True))[0] == len(NAMES) - 2
    kept = {"copy/" + name.replace(".tar", ".tgz"): name.encode() for name in NAMES[1:]}
    assert contents(to) == {**kept, "own.txt": b"own"}
    with pytest.raises(AISError, match="would delete objects that no job has made"):
        full.copy(full, prepend="copy/", sync=True)


def test_synchronising_a_template_deletes_within_it(client: Client, full: Bucket) -> None:
    to = other(client, full)
    assert done(client, full.copy(to))[0] == len(NAMES)
    for number in (3, 20):
        full.object(f"shard-{number:03}.tar").delete()
    (job_id,) = full.objects(obj_template="shard-{000..009}.tar").copy(to, sync=True)
    assert done(client, job_id)[0] == 9
    assert set(contents(to)) == set(NAMES) - {"shard-003.tar"}


def test_a_dry_run_copies_nothing(client: Client, full: Bucket) -> None:
    to = other(client, full).create()
    assert done(client, full.copy(to, dry_run=True))[0] == len(NAMES)
    assert to.list_all_objects() == []


def test_a_bucket_is_renamed(client: Client, full: Bucket) -> None:
    old = full.name
    full.object("x/y.txt").get_writer().set_custom_props({"a": "b"})
    job_id = full.rename(old + "-new")
    assert done(client, job_id)[0] == len(NAMES)
    assert full.name == old + "-new"
    assert contents(full) == {name: name.encode() for name in NAMES}
    assert full.object("x/y.txt").props.custom_metadata == {"a": "b"}
    with pytest.raises(ErrBckNotFound):
        client.bucket(old).list_objects()
    client.bucket(old).create()
    assert client.bucket(old).list_all_objects() == []


def test_a_bucket_is_not_renamed_over_another(client: Client, full: Bucket) -> None:
    to = other(client, full).create()
    with pytest.raises(ErrBckAlreadyExists):
        full.rename(to.name)
    with pytest.raises(ErrBckNotFound):
        client.bucket("missing-bucket").rename("whatever")


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ({"obj_names": [NAMES[0], NAMES[7]]}, [NAMES[0], NAMES[7]]),
        ({"obj_range": ObjectRange("shard-", 3, 9, pad_width=3, step=2, suffix=".tar")}, NAMES[3:10:2]),
        ({"obj_template": "shard-{000..002}.tar"}, NAMES[:3]),
        ({"obj_template": "shard-{028..040}.tar"}, NAMES[28:30]),
        ({"obj_template": "shard-{0..0}{0..1}{5..9..2}.tar"}, [NAMES[n] for n in (5, 7, 9, 15, 17, 19)]),
        ({"obj_template": "x/"}, ["x/y.txt"]),
    ],
    ids=["names", "range", "template", "beyond the end", "ranges", "prefix"],
)  # fmt: skip
def test_groups_of_objects_are_copied_and_deleted(
    client: Client, full: Bucket, selected: dict[str, object], expected: list[str]
) -> None:
    to = other(client, full)
    (job_id,) = full.objects(**selected).copy(to, prepend="p/")
    assert done(client, job_id)[0] == len(expected)
    assert contents(to) == {"p/" + name: name.encode() for name in expected}
    assert done(client, full.objects(**selected).delete())[0] == len(expected)
    assert sorted(contents(full)) == sorted(set(NAMES) - set(expected))


def test_a_missing_object_of_a_list_fails_the_job(client: Client, full: Bucket) -> None:
    job_id = full.objects(obj_names=["missing"]).delete()
    result = end(client, job_id)
    assert not result.success
    assert result.error is not None
    assert "ais://" + full.name + "/missing does not exist" in result.error


def test_a_job_that_goes_on_does_the_rest_and_tells_of_the_failure(client: Client, full: Bucket) -> None:
    to = other(client, full)
    (job_id,) = full.objects(obj_names=["missing", NAMES[0], "gone", NAMES[1]]).copy(to, continue_on_error=True)
    end(client, job_id)
    assert sorted(contents(to)) == NAMES[:2]
    status = client.job(job_id).status()
    assert not status.aborted
    assert "does not exist (and 1 more error)" in status.err


@pytest.mark.parametrize("template", ["a{1..", "a}b", "{5..1}", "{a,b}", "{1..9999999999}", "{1..5..0}"])
def test_malformed_templates_are_refused(full: Bucket, template: str) -> None:
    with pytest.raises(AISError) as refused:
        full.objects(obj_template=template).delete()
    assert refused.value.status_code == 400
    assert len(full.list_all_objects()) == len(NAMES)


def test_a_bucket_is_not_copied_onto_itself(full: Bucket) -> None:
    with pytest.raises(AISError, match="onto itself"):
        full.copy(full)


def test_copying_from_a_missing_bucket_makes_none(client: Client, bucket: Bucket) -> None:
    with pytest.raises(ErrBckNotFound):
        client.bucket("missing-bucket").copy(other(client, bucket))
    assert other(client, bucket).name not in [one.name for one in client.cluster().list_buckets()]


def test_what_is_told_of_a_job(client: Client, full: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    job_id = full.copy(other(client, full))
    job = client.job(job_id)
    job.wait(timeout=30, verbose=False)
    status = job.status()
    assert (status.uuid, status.err, status.aborted) == (job_id, "", False)
    assert status.end_time > before.timestamp() * 1e9
    (snapshot, *_) = job.get_details().list_snapshots()
    assert (snapshot.id, snapshot.kind, snapshot.is_idle, snapshot.aborted) == (job_id, "copy-bck", True, False)
    assert snapshot.source_bck is not None
    assert snapshot.source_bck.name == full.name
    assert snapshot.destination_bck is not None
    assert snapshot.destination_bck.name == other(client, full).name
    assert job.get_details().get_num_workers() == 1
    assert [one.id for one in job.get_within_timeframe(before)] != []
    total = job.get_total_time()
    assert total is not None
    assert total >= timedelta(0)
    assert job_id in [one.uuid for one in client.cluster().list_jobs_status("copy-bck")]
    assert client.job(job_kind="copy-bck").wait_for_idle(timeout=30, verbose=False).success
    assert client.job(job_id).wait_single_node(timeout=30, verbose=False).success
    assert client.cluster().list_running_jobs("copy-bck") == []


def test_an_unknown_job_is_not_found(client: Client) -> None:
    with pytest.raises(AISError) as unknown:
        client.job("nosuchjob").status()
    assert unknown.value.status_code == 404
    with pytest.raises(JobInfoNotFound):
        client.job("nosuchjob").wait(timeout=5, verbose=False)


def test_jobs_that_a_single_node_has_not_are_refused_with_a_sentence(client: Client) -> None:
    with pytest.raises(AISError, match="mirror") as refused:
        client.job(job_kind="mirror").start()
    assert refused.value.status_code == 501


@pytest.mark.parametrize("kind", ["lru", "cleanup-store", "cleanup", "rebalance", "resilver"])
def test_jobs_that_keep_a_cluster_in_order_end_at_once(client: Client, kind: str) -> None:
    job = client.job(client.job(job_kind=kind).start())
    assert job.wait(verbose=False).success


def test_a_stopped_job_is_aborted_and_tells_how_far_it_got(node: RunningNode, client: Client, bucket: Bucket) -> None:
    for number in range(3):
        bucket.object(f"large-{number}").get_writer().put_content(bytes(1 << 20))
    group = bucket.objects(obj_template="large-{0..2}{0..9999999}")  # far more names than can be looked at in a moment
    (job_id,) = group.copy(other(client, bucket), continue_on_error=True)
    assert f"copy-listrange[{job_id}]" in client.cluster().list_running_jobs()
    client.job(job_id).abort()
    result = end(client, job_id)
    assert not result.success
    assert "had been done" in str(result.error)
    assert f"copy-listrange[{job_id}]" not in client.cluster().list_running_jobs()


def test_a_copy_of_a_group_is_listed_as_running_and_idle_for_a_while_and_no_longer_when_stopped(
    client: Client, full: Bucket
) -> None:
    (job_id,) = full.objects(obj_names=NAMES[:2]).copy(other(client, full))
    assert client.job(job_id).wait_for_idle(verbose=False).success
    assert f"copy-listrange[{job_id}]" in client.cluster().list_running_jobs()
    client.job(job_id).abort()
    assert f"copy-listrange[{job_id}]" not in client.cluster().list_running_jobs()
    assert client.job(job_id).status().err == ""
