"""`instore transform` from and to a cloud's buckets."""

import os
import signal
import socket
import subprocess
import tarfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instore.offline.engine import MOST_AWAY
from tests.cli.test_transform_buckets import (
    MANY,
    NAMES,
    TRANSFORM,
    ended_early,
    one_line,
    originals,
    shouted,
    start,
    transform,
    verdicts,
)
from tests.offline.support import fill, tree
from tests.shards.archives import content, shard, tar
from tests.support.clouds import Cloud
from tests.support.faulty_cloud import Asked, FaultyCloud, answering, faulty_cloud
from tests.support.node import running_node, wait_until


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("src").mkdir()


@pytest.fixture
def faulty(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyCloud]:
    with faulty_cloud(cloud.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


def versioned(cloud: Cloud) -> str:
    """A new bucket that keeps everything that was ever stored in it."""
    bucket = cloud.bucket()
    cloud.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def times_stored(cloud: Cloud, bucket: str) -> dict[str, int]:
    """How often each object was stored."""
    counts: dict[str, int] = {}
    for page in cloud.client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            counts[one["Key"]] = counts.get(one["Key"], 0) + 1
    return counts


def test_objects_pass_from_a_folder_into_a_cloud_and_back(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    bucket = cloud.bucket()
    for name, data in originals(NAMES).items():
        Path("src", name).parent.mkdir(exist_ok=True)
        Path("src", name).write_bytes(data)
    code, _, err = transform("src", f"s3://{bucket}/new/", "--endpoint", cloud.endpoint)
    assert code == 0, err
    assert cloud.content(bucket) == {f"new/{name}": data for name, data in shouted(NAMES).items()}
    code, _, err = transform(f"s3://{bucket}/new/d", "dst", "--endpoint", cloud.endpoint)
    assert code == 0, err
    assert tree(Path("dst")) == {f"new/{name}": data for name, data in shouted(NAMES).items() if name.startswith("d/")}
    assert not os.listdir("tmp")


@pytest.mark.whole
def test_objects_pass_from_cloud_to_cloud_with_their_metadata(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(originals(["a"])), cloud.bucket()
    cloud.put(inbox, {"b": b"with metadata"}, Metadata={"origin": "here"}, CacheControl="no-store")
    code, _, err = transform(f"s3://{inbox}", f"s3://{outbox}", "--keep-metadata")
    assert code == 0, err
    assert cloud.content(outbox) == {"a": b"OBJECT A", "b": b"WITH METADATA"}
    kept = [cloud.head(outbox, name)["Metadata"] for name in "ab"]
    assert all(metadata.pop("instoreorigin") for metadata in kept)
    assert kept == [{}, {"origin": "here"}]


@pytest.mark.whole
def test_a_cloud_and_a_store_mix(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = cloud.bucket(originals(NAMES))
    with running_node(tmp_path) as node:
        monkeypatch.setenv("AIS_ENDPOINT", node.endpoint)
        assert transform(f"s3://{bucket}", "ais://out")[0] == 0
        assert transform("ais://out", f"s3://{bucket}/again/")[0] == 0
    kept = {name: data for name, data in cloud.content(bucket).items() if name.startswith("again/")}
    assert kept == {f"again/{name}": data for name, data in shouted(NAMES).items()}


@pytest.mark.whole
def test_what_is_there_is_skipped_unless_it_is_to_be_done_again(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(originals(["a", "b"])), cloud.bucket({"a": b"old"})
    code, out, err = transform(f"s3://{inbox}", f"s3://{outbox}", "--dry-run")
    assert (code, out.splitlines()[:2]) == (0, ["already there: a -> a", "to do: b -> b"]), err
    assert transform(f"s3://{inbox}", f"s3://{outbox}")[0] == 0
    assert cloud.content(outbox) == {"a": b"old", "b": b"OBJECT B"}
    assert transform(f"s3://{inbox}", f"s3://{outbox}", "--overwrite")[0] == 0
    assert cloud.content(outbox) == shouted(["a", "b"])


@pytest.mark.whole
def test_a_class_that_has_changed_makes_the_results_of_a_cloud_again(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(originals(["a", "b"])), cloud.bucket()
    assert transform(f"s3://{inbox}", f"s3://{outbox}")[0] == 0
    code, _, err = transform(f"s3://{inbox}", f"s3://{outbox}", "--update")
    assert (code, "0 done, 2 already there" in err) == (0, True), err
    Path("upper.py").write_text(Path("upper.py").read_text().replace("data.upper()", "data.title()"))
    code, _, err = transform(f"s3://{inbox}", f"s3://{outbox}", "--update")
    assert (code, "2 done" in err) == (0, True), err
    assert err.startswith(
        "2 results in DST were made by another class, or by another version of it, and are made again"
    )
    assert cloud.content(outbox) == {"a": b"Object A", "b": b"Object B"}


@pytest.mark.whole
def test_a_watched_folder_is_done_again_into_a_cloud(cloud: Cloud) -> None:
    fill(Path("src"), ["a"])
    bucket = cloud.bucket()
    process = start("src", f"s3://{bucket}", "--watch")
    try:
        wait_until(lambda: cloud.content(bucket) == shouted(["a"]), seconds=600)
        Path("src/a").write_text("changed")
        wait_until(lambda: cloud.content(bucket) == {"a": b"CHANGED"}, seconds=600)
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err


@pytest.mark.whole
def test_results_may_not_become_objects_of_the_same_job(cloud: Cloud) -> None:
    inbox = cloud.bucket(originals(["train/a"]))
    code, _, err = transform(f"s3://{inbox}", f"s3://{inbox}/new/")
    assert code == 2
    assert f"the results in s3://{inbox} would become objects of this job" in one_line(err)
    assert transform(f"s3://{inbox}/train/", f"s3://{inbox}/new/")[0] == 0
    assert cloud.content(inbox) == {**originals(["train/a"]), "new/train/a": b"OBJECT TRAIN/A"}


@pytest.mark.whole
def test_a_bucket_that_is_not_there_is_one_line(cloud: Cloud) -> None:
    code, _, err = transform("src", "s3://no-such-bucket/new/")
    assert code == 2
    assert "DST s3://no-such-bucket/new/: there is no bucket s3://no-such-bucket; make it first" in one_line(err)


@pytest.mark.whole
def test_an_object_that_fails_and_a_name_that_no_object_can_have_are_reported(cloud: Cloud) -> None:
    fill(Path("src"), ["a", "bad", "c", "new\nline", "bytes-\udcff"])
    bucket = cloud.bucket()
    code, _, err = transform("src", f"s3://{bucket}", "--continue-on-error", "--report", "report.json")
    assert code == 1
    assert "it is not UTF-8" in err
    assert "it holds a control character" in err
    assert verdicts() == {"a": "done", "bad": "failed", "c": "done", "new\nline": "failed", "bytes-\udcff": "failed"}
    assert cloud.content(bucket) == shouted(["a", "c"])


@pytest.mark.whole
@pytest.mark.parametrize("fault", [answering(503, "SlowDown"), answering(403, "ExpiredToken")])
def test_a_cloud_that_refuses_ends_the_job(cloud: Cloud, faulty: FaultyCloud, fault: object) -> None:
    fill(Path("src"), MANY)
    bucket = cloud.bucket()
    faulty.breaks(fault, "PUT")  # type: ignore[arg-type]
    process = start("src", f"s3://{bucket}", "--continue-on-error", "--report", "report.json")
    assert set(ended_early(process).values()) == {"failed"}
    assert cloud.content(bucket) == {}


@pytest.mark.whole
def test_objects_that_go_one_by_one_do_not_end_the_job(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket(originals(MANY[: 3 * MOST_AWAY]))
    faulty.breaks(answering(404, "NoSuchKey"), "GET", key="x")
    code, _, err = transform(f"s3://{bucket}", "dst", "--continue-on-error")
    assert code == 1
    assert f"{3 * MOST_AWAY} failed" in err.splitlines()[-1]


@pytest.mark.whole
def test_a_listing_that_fails_in_the_middle_of_a_job_ends_it(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket(originals(MANY))
    faulty.page = 100
    listings = [0]

    def second_pages(asked: Asked) -> object:
        listings[0] += "continuation-token" in asked.query
        is_of_the_job = "continuation-token" in asked.query and listings[0] > 1
        return answering(500, "InternalError") if is_of_the_job else None

    faulty.fault = second_pages  # type: ignore[assignment]
    code, _, err = transform(f"s3://{bucket}", "dst", "--continue-on-error")
    assert code == 1
    assert f"s3://{bucket} can't be listed: {faulty.endpoint} answered 500" in err
    assert "Traceback" not in err
    faulty.fault = lambda _asked: None
    assert transform(f"s3://{bucket}", "dst")[0] == 0
    assert tree(Path("dst")) == shouted(MANY)


@pytest.mark.whole
def test_a_command_that_is_killed_is_ended_by_the_same_command(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(originals(MANY)), versioned(cloud)
    command = (f"s3://{inbox}", f"s3://{outbox}", "--args", "gate")
    process = start(*command, target="upper.py:Gated")
    wait_until(lambda: len(times_stored(cloud, outbox)) >= 50)
    process.kill()
    process.communicate()
    stored = set(times_stored(cloud, outbox))
    assert 50 <= len(stored) < len(MANY)
    Path("gate").touch()
    code, _, err = transform(*command, "--report", "report.json", target="upper.py:Gated")
    assert code == 0, err
    assert {name for name, status in verdicts().items() if status == "already there"} == stored
    assert times_stored(cloud, outbox) == dict.fromkeys(MANY, 1)
    assert cloud.content(outbox) == shouted(MANY)


@pytest.mark.whole
def test_an_interrupted_command_counts_what_it_has_stored(cloud: Cloud) -> None:
    fill(Path("src"), MANY)
    bucket = versioned(cloud)
    process = start("src", f"s3://{bucket}", "--args", "gate", "--report", "report.json", target="upper.py:Gated")
    wait_until(lambda: len(times_stored(cloud, bucket)) >= 50)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    done = {name for name, status in verdicts().items() if status == "done"}
    assert done == set(times_stored(cloud, bucket))


@pytest.mark.whole
def test_a_command_whose_cloud_is_silent_can_be_interrupted(cloud: Cloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start("src", "s3://photos", "--endpoint", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in err


@pytest.mark.whole
def test_two_commands_at_once_store_each_result_once(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(originals(MANY)), versioned(cloud)
    processes = [
        start(f"s3://{inbox}", f"s3://{outbox}", "--no-clobber", "--report", f"report-{number}.json")
        for number in range(2)
    ]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert times_stored(cloud, outbox) == dict.fromkeys(MANY, 1)
    assert cloud.content(outbox) == shouted(MANY)
    found = [verdicts(f"report-{number}.json") for number in range(2)]
    assert all(sorted((found[0][name], found[1][name])) == ["already there", "done"] for name in MANY)


@pytest.mark.whole
@pytest.mark.parametrize("options", [(), ("--no-clobber",)])
def test_a_large_object_passes_in_bounded_memory(cloud: Cloud, options: tuple[str, ...]) -> None:
    size = 128 << 20
    with Path("src/large").open("wb") as file:
        for _ in range(size >> 20):
            file.write(b"abcdefgh" * (1 << 17))
    inbox, outbox = cloud.bucket(), cloud.bucket()
    cloud.client.upload_file("src/large", inbox, "large")
    process = start(f"s3://{inbox}", f"s3://{outbox}", *options, target="upper.py:Stream")
    peak = 0
    while process.poll() is None:
        peak = max(peak, own_memory_of(process))
        time.sleep(0.01)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert 0 < peak < size - (32 << 20), peak  # the interpreter and its libraries included
    assert cloud.head(outbox, "large")["ContentLength"] == size
    body = cloud.client.get_object(Bucket=outbox, Key="large")["Body"]
    assert all(piece == b"ABCDEFGH" * (len(piece) // 8) for piece in body.iter_chunks(1 << 20))
    assert not os.listdir("tmp")


def own_memory_of(process: "subprocess.Popen[str]") -> int:
    """Bytes of a process that are no file's, which would be given up for others; 0 when it has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("RssAnon:")[2].partition("kB")[0] or 0) << 10


@pytest.mark.whole
def test_shards_of_a_bucket_go_through(cloud: Cloud) -> None:
    """As those of a folder: all formats, names of any length; and what is damaged, empty or no shard is a failure."""
    files = {"a.txt": b"one", "n" * 120 + ".txt": b"two", "b.bin": b"three"}
    kinds = {
        "gnu.tar": tar(files),
        "pax.tar": tar(files, tarfile.PAX_FORMAT),
        "x.tar.gz": shard("tar.gz", files),
        "x.zip": shard("zip", files),
    }
    bad = {"cut.tar": tar({"a.txt": b"x" * 2000})[:1500], "empty.tar": b"", "none.tar": tar({})}
    bucket, results = cloud.bucket({**kinds, **bad}), cloud.bucket()
    code, _, said = transform(f"s3://{bucket}", f"s3://{results}", "--members", "*.txt", "--continue-on-error")
    assert code == 1
    for failure in ("failed cut.tar: the shard is damaged: it is truncated", "failed empty.tar: ", "failed none.tar: "):
        assert failure in said
    made = cloud.content(results)
    assert set(made) == set(kinds)
    for name, data in made.items():
        assert content(name.partition(".")[2], data) == {
            **{one: text.upper() for one, text in files.items()},
            "b.bin": b"three",
        }
