"""Transforms that do what none should: each leaves a truthful error, and a node that serves the next request."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from instore import ETLServer
from tests.node.processes import descendants
from tests.support.node import RunningNode, running_node, wait_until

MIB = 1 << 20


@pytest.fixture(name="node")
def _node(tmp_path: Path) -> Iterator[RunningNode]:
    with running_node(tmp_path, 2) as node:
        yield node
        assert "Traceback" not in node.log.read_text()


@pytest.fixture(name="client")
def _client(node: RunningNode) -> Client:
    return node.client()


@pytest.fixture(name="source")
def _source(client: Client) -> Bucket:
    bucket = client.bucket("source").create()
    for number in range(8):
        bucket.object(f"o{number}").get_writer().put_content(b"object %d" % number)
    return bucket


def make(client: Client, cls: type, name: str = "faulty-etl", **options: Any) -> Any:
    etl = client.etl(name)
    etl.init_class(**options)(cls)
    return etl


def stages(client: Client) -> dict[str, str]:
    return {info.id: info.stage for info in client.cluster().list_etls(["Running", "Aborted", "Initializing"])}


def serves(client: Client, source: Bucket) -> bool:
    """Whether the node does what it did before, ETLs included."""

    class Echo(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data

    echo = make(client, Echo, "echo-etl")
    whole = source.object("o1").get_reader(etl=ETLConfig("echo-etl")).read_all()
    echo.stop()
    echo.delete()
    return bool(whole == source.object("o1").get_reader().read_all() == b"object 1")


@pytest.mark.whole
@pytest.mark.parametrize("comm_type", ["hpush", "ws"])
def test_objects_that_wait_for_their_turn_do_not_time_out(client: Client, comm_type: str) -> None:
    class Slows(ETLServer):
        """Quick at first, so that many objects are under way, and then slow: one at a time, 0.5 s each."""

        def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
            import time

            time.sleep(float(data))
            return b"done"

    bucket, into = client.bucket("waiting").create(), client.bucket("waited")
    for number in range(100):
        bucket.object(f"a/{number:02}").get_writer().put_content(b"0")
    for number in range(16):
        bucket.object(f"b/{number:02}").get_writer().put_content(b"0.5")
    etl = make(client, Slows, comm_type=comm_type, obj_timeout="2s", NUM_WORKERS=1)
    job = client.job(bucket.transform(etl.name, into))
    assert job.wait(verbose=False, timeout=60).success, job.status()
    assert {entry.name for entry in into.list_all_objects()} == {entry.name for entry in bucket.list_all_objects()}


@pytest.mark.parametrize(
    "comm_type", ["hpush", *(pytest.param(name, marks=pytest.mark.whole) for name in ("hpull", "ws"))]
)
def test_one_that_always_fails(client: Client, source: Bucket, comm_type: str) -> None:
    class Fails(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            raise RuntimeError("it never works")

    etl = make(client, Fails, comm_type=comm_type)
    if comm_type != "hpull":  # the client is sent on to the server, and asks that for a minute and a half
        with pytest.raises(AISError, match="it never works"):
            source.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all()
    job = client.job(source.transform("faulty-etl", client.bucket("into"), cont_on_err=True))
    waited = job.wait(timeout=60, verbose=False)
    assert "it never works" in waited.error
    assert "(and 7 more errors)" in waited.error
    errors = etl.view(job.job_id).obj_errors
    assert sorted(error.obj_name for error in errors) == [f"ais://source/o{number}" for number in range(8)]
    assert all("it never works" in error.msg for error in errors)
    assert client.bucket("into").list_all_objects() == []
    assert sum(snap.stats.objects + snap.stats.out_objects for snap in job.get_details().list_snapshots()) == 0
    assert serves(client, source)


@pytest.mark.whole
@pytest.mark.parametrize("comm_type", ["hpush", "ws"])
def test_one_that_never_ends(client: Client, source: Bucket, comm_type: str) -> None:
    class Hangs(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            while path.endswith("o3"):
                time.sleep(1)
            return data

    make(client, Hangs, comm_type=comm_type, obj_timeout="2s")
    with pytest.raises(AISError, match="it took longer than 2 s"):
        source.object("o3").get_reader(etl=ETLConfig("faulty-etl")).read_all()
    job = client.job(source.transform("faulty-etl", client.bucket("into"), cont_on_err=True))
    waited = job.wait(timeout=60, verbose=False)
    assert "it took longer than 2 s" in waited.error
    assert source.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all() == b"object 1"
    assert serves(client, source)


@pytest.mark.whole
@pytest.mark.parametrize("comm_type", ["hpush", "hpull", "ws"])
def test_more_that_never_end_than_a_server_has_threads(
    client: Client, source: Bucket, node: RunningNode, comm_type: str
) -> None:
    class Hangs(HTTPMultiThreadedServer):  # type: ignore[misc]
        concurrency = 2

        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            while data != b"object 1":
                time.sleep(1)
            return data

    etl = make(client, Hangs, comm_type=comm_type, obj_timeout="1s", NUM_WORKERS=1)
    before = descendants(node.process.pid)
    job = client.job(source.transform("faulty-etl", client.bucket("into"), cont_on_err=True, num_workers=1))
    waited = job.wait(timeout=60, verbose=False)
    assert "it took longer than 1 s" in waited.error
    assert "(and 6 more errors)" in waited.error
    assert [entry.name for entry in client.bucket("into").list_all_objects()] == ["o1"]
    assert source.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all() == b"object 1"
    assert stages(client) == {"faulty-etl": "Running"}
    assert descendants(node.process.pid) == before
    assert "all 2 threads of this process: held by transforms that were given up" in etl.logs()[0].logs
    assert serves(client, source)


@pytest.mark.whole
def test_more_that_never_end_than_several_processes_have_threads(client: Client, source: Bucket) -> None:
    class Hangs(HTTPMultiThreadedServer):  # type: ignore[misc]
        concurrency = 1

        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            while data != b"object 1":
                time.sleep(1)
            return data

    etl = make(client, Hangs, obj_timeout="1s", NUM_WORKERS=2)
    for number in (2, 3, 4, 5, 6, 7):
        with pytest.raises(AISError, match="it took longer than 1 s"):
            source.object(f"o{number}").get_reader(etl=ETLConfig("faulty-etl")).read_all()
    wait_until(lambda: "exited with code 75; starting another" in "".join(log.logs for log in etl.logs()))
    reads = [reads_in_the_end(source, "o1") for _ in range(4)]
    assert reads == [b"object 1"] * 4
    assert stages(client) == {"faulty-etl": "Running"}


def reads_in_the_end(source: Bucket, name: str) -> bytes:
    """Read through the ETL, again where the process that is asked has not been given up yet."""
    for _ in range(5):
        try:
            return bytes(source.object(name).get_reader(etl=ETLConfig("faulty-etl")).read_all())
        except AISError as error:
            assert "it took longer than" in str(error)  # noqa: PT017
    raise AssertionError("it is never served")


@pytest.mark.whole
def test_a_foreign_server_that_is_stuck_is_an_aborted_etl(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(FOREIGN)
    with running_node(tmp_path, options=["--image", f"me/hangs={tmp_path}"]) as node:
        client = node.client()
        bucket = client.bucket("source").create()
        for number in range(3):
            bucket.object(f"o{number}").get_writer().put_content(b"object %d" % number)
        etl = client.etl("faulty-etl")
        etl.init("me/hangs", [sys.executable, "server.py"], obj_timeout="1s")
        with pytest.raises(AISError, match="it took longer than 1 s"):
            bucket.object("o0").get_reader(etl=ETLConfig("faulty-etl")).read_all()
        wait_until(lambda: stages(client) == {"faulty-etl": "Aborted"})
        with pytest.raises(
            AISError, match=r"exited with code 75; its last log line: .*the thread of this process: held"
        ):
            bucket.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all()
        etl.start()
        assert bucket.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all() == b"object 1"


FOREIGN = """
import time
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

class Hangs(FastAPIServer):
    def transform(self, data, path, etl_args):
        while data == b"object 0":
            time.sleep(1)
        return data

Hangs().start()
"""


@pytest.mark.whole
def test_one_that_kills_its_process(client: Client, source: Bucket, node: RunningNode) -> None:
    class Dies(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            if path.endswith("o3"):
                print("about to die", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return data

    etl = make(client, Dies, NUM_WORKERS=1)
    with pytest.raises(AISError, match=r"was killed by signal 9 \(out of memory\?\); its last log line: about to die"):
        source.object("o3").get_reader(etl=ETLConfig("faulty-etl")).read_all()
    assert stages(client) == {"faulty-etl": "Aborted"}
    with pytest.raises(AISError, match="is Aborted: its server beside target"):
        source.object("o1").get_reader(etl=ETLConfig("faulty-etl")).read_all()
    wait_until(lambda: descendants(node.process.pid) == [])
    etl.start()
    job = client.job(source.transform("faulty-etl", client.bucket("into"), cont_on_err=True))
    waited = job.wait(timeout=60, verbose=False)
    assert not waited.success
    assert "was killed by signal 9" in waited.error
    assert stages(client) == {"faulty-etl": "Aborted"}
    kept = {entry.name for entry in client.bucket("into").list_all_objects()}
    assert sum(snap.stats.objects + snap.stats.out_objects for snap in job.get_details().list_snapshots()) == len(kept)
    assert "o3" not in kept
    assert "about to die" in "".join(log.logs for log in etl.logs())
    assert serves(client, source)


@pytest.mark.whole
def test_one_that_kills_its_process_where_others_stand_in(client: Client, source: Bucket) -> None:
    class DiesOnce(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            try:
                os.close(os.open(os.environ["MARK"], os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return data
            os.kill(os.getpid(), signal.SIGKILL)
            return b""

    mark = f"/tmp/{os.getpid()}.{time.time_ns()}.died"
    make(client, DiesOnce, NUM_WORKERS=2, MARK=mark)
    job = client.job(source.transform("faulty-etl", client.bucket("into")))
    waited = job.wait(timeout=60, verbose=False)
    os.unlink(mark)
    assert waited.success, waited.error
    assert len(client.bucket("into").list_all_objects()) == 8
    assert stages(client) == {"faulty-etl": "Running"}


@pytest.mark.whole
def test_one_that_floods_its_log(client: Client, source: Bucket, node: RunningNode) -> None:
    class Floods(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            for number in range(30_000):
                print(f"{path} {number:05}", "x" * 1000)
            return data

    etl = make(client, Floods)
    job = client.job(source.transform("faulty-etl", client.bucket("into")))
    waited = job.wait(timeout=100, verbose=False)
    assert waited.success, waited.error
    logs = [path for path in node.folder.rglob("faulty-etl.*") if ".log" in path.name]
    assert 0 < sum(path.stat().st_size for path in logs) <= 2 * 16 * MIB
    assert "29999 xxx" in "".join(log.logs for log in etl.logs())
    assert serves(client, source)


@pytest.mark.whole
@pytest.mark.parametrize("direct_put", [True, False])
@pytest.mark.parametrize("mib", [100, pytest.param(5 << 10, marks=pytest.mark.soak)])
def test_one_that_returns_very_much(
    client: Client, source: Bucket, node: RunningNode, mib: int, direct_put: bool
) -> None:
    class Large(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform_stream(self, reader: Any, path: str, etl_args: str) -> Iterator[bytes]:
            piece = bytes(1 << 20)
            for _ in range(int(os.environ["MIB"])):
                yield piece

    make(client, Large, direct_put=direct_put, obj_timeout="10m", MIB=mib)
    selected = source.objects(obj_names=["o1", "o2"])
    job = client.job(selected.transform(client.bucket("into"), "faulty-etl"), "etl-listrange")
    waited = job.wait(timeout=600, verbose=False)
    assert waited.success, waited.error
    assert [entry.size for entry in client.bucket("into").list_all_objects(props="size")] == [mib * MIB] * 2
    assert sum(snap.stats.bytes + snap.stats.out_bytes for snap in job.get_details().list_snapshots()) == 2 * mib * MIB
    read = 0
    for piece in source.object("o1").get_reader(etl=ETLConfig("faulty-etl")):
        read += len(piece)
    assert read == mib * MIB
    peak = int((Path("/proc") / str(node.process.pid) / "status").read_text().partition("VmHWM:")[2].split()[0])
    assert peak < 400 << 10  # KiB: objects pass through, none is held
    assert serves(client, source)
