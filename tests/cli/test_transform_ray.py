"""`instore transform --on ray`: a cluster of real nodes on this machine, and what is said where there is none."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.offline.support import fill, tree
from tests.support.clouds import CREDENTIALS, Cloud
from tests.support.environments import RAY, need
from tests.support.ray_cluster import LocalRay, local_ray

NAMES = [f"d{number % 3}/{number:03}" for number in range(120)]
TRANSFORM = """
    import logging, os, signal, time
    from instore import ETLServer
    from own_helper import upper

    class Upper(ETLServer):
        def transform(self, data, path, etl_args):
            if path.endswith("/crash"):
                os.kill(os.getpid(), signal.SIGKILL)
            if path.endswith("/hang"):
                time.sleep(3600)
            if path.endswith("/bad"):
                raise ValueError("it is bad")
            time.sleep(float(etl_args or 0))
            if path.endswith("9"):
                print("node", os.environ.get("RAY_RAYLET_PID"))
                logging.getLogger("mine").warning("a warning")
            return upper(data)
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("upper.py").write_text(textwrap.dedent(TRANSFORM))
    Path("own_helper.py").write_text("def upper(data):\n    return data.upper()\n")
    fill(Path("src"), NAMES)


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[LocalRay]:
    need(RAY)
    with local_ray(CREDENTIALS) as cluster:
        yield cluster


def command(*arguments: str) -> list[str]:
    return [str(RAY.programs / "instore"), "transform", "upper.py", "src", "dst", "--shared-folders", *arguments]


def environment(cluster: LocalRay) -> dict[str, str]:
    return {**os.environ, **CREDENTIALS, "RAY_ADDRESS": cluster.address}


def on(cluster: LocalRay, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command("--on", "ray"), *arguments], env=environment(cluster), capture_output=True, text=True
    )


def outcomes(path: Path) -> dict[str, Any]:
    """What a report says of each object, and in all, but for times."""
    report = json.loads(path.read_text())
    for entry in [*report["objects"], report["summary"]]:
        del entry["seconds"]
    return {**{entry["name"]: entry for entry in report["objects"]}, "": report["summary"]}


def alone(*arguments: str) -> None:
    """The same job on this machine."""
    line = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "alone", *arguments]
    subprocess.run(line, check=False, capture_output=True)


@pytest.mark.whole
def test_without_ray_it_is_one_sentence() -> None:
    line = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "dst", "--on", "ray", "--shared-folders"]
    job = subprocess.run(line, capture_output=True, text=True)
    assert job.returncode == 2
    assert job.stderr.count("\n") == 1
    assert "pip install 'instore[ray]'" in job.stderr
    assert not Path("dst").exists()


@pytest.mark.whole
def test_both_nodes_do_what_one_machine_does(cluster: LocalRay) -> None:
    fill(Path("src"), ["d/bad"])
    options = ("--continue-on-error", "--report", "r.json", "--args", "0.02")
    job = on(cluster, *options)
    alone("--continue-on-error", "--report", "alone.json")
    assert job.returncode == 1
    assert tree(Path("dst")) == tree(Path("alone")) == {name: f"OBJECT {name.upper()}".encode() for name in NAMES}
    assert outcomes(Path("r.json")) == outcomes(Path("alone.json"))
    assert "ValueError: it is bad" in job.stderr
    assert "a warning" in job.stderr
    assert len({line.split()[-1] for line in job.stderr.splitlines() if " node " in line}) == 2
    assert [path.name for path in Path("dst").iterdir() if not path.name.startswith("d")] == []


@pytest.mark.whole
def test_a_node_that_dies_midway_changes_nothing(cluster: LocalRay) -> None:
    node = cluster.add()
    job = subprocess.Popen(
        command("--on", "ray", "--args", "0.2", "--report", "r.json"),
        env=environment(cluster),
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(tree(Path("dst"))) < 20 and job.poll() is None:
        time.sleep(0.05)
    node.kill()
    said = job.communicate()[1]
    assert job.returncode == 0, said
    alone("--report", "alone.json")
    assert "was lost" in said
    assert tree(Path("dst")) == tree(Path("alone"))
    assert outcomes(Path("r.json")) == outcomes(Path("alone.json"))
    assert said.splitlines()[-1].startswith("120 done, 0 already there, 0 skipped, 0 failed")


@pytest.mark.whole
def test_an_interrupted_job_leaves_nothing_half_and_goes_on(cluster: LocalRay) -> None:
    job = subprocess.Popen(
        command("--on", "ray", "--args", "0.2"), env=environment(cluster), stderr=subprocess.PIPE, text=True
    )
    while len(tree(Path("dst"))) < 10 and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(signal.SIGINT)
    assert "the same command goes on from here" in job.communicate()[1]
    assert job.returncode == 130
    there = tree(Path("dst"))
    assert 0 < len(there) < len(NAMES)
    assert [name for name in there if not name.startswith("d")] == []
    done = on(cluster, "--report", "r.json")
    assert done.returncode == 0, done.stderr
    summary = outcomes(Path("r.json"))[""]
    assert (summary["done"], summary["already_there"]) == (len(NAMES) - len(there), len(there))
    assert len(tree(Path("dst"))) == len(NAMES)


@pytest.mark.whole
def test_objects_that_kill_or_hang_are_found_there_too(cluster: LocalRay) -> None:
    fill(Path("src"), ["d/crash", "d/hang"])
    job = on(cluster, "--continue-on-error", "--timeout", "10", "--report", "r.json")
    assert job.returncode == 1
    failed = {name: entry["error"] for name, entry in outcomes(Path("r.json")).items() if entry.get("error")}
    assert sorted(failed) == ["d/crash", "d/hang"]
    assert "was killed by signal 9 (out of memory?) twice while transforming it" in failed["d/crash"]
    assert "took longer than 10 s" in failed["d/hang"]
    assert len(tree(Path("dst"))) == len(NAMES)


@pytest.mark.whole
def test_a_class_that_can_not_be_loaded_there_ends_the_job(cluster: LocalRay) -> None:
    Path("own_helper.py").write_text("import what_nobody_has\n")
    job = on(cluster)
    assert job.returncode == 2
    assert "No module named 'what_nobody_has'" in job.stderr
    assert "Traceback" not in job.stderr


@pytest.mark.whole
def test_what_no_node_has_room_for_is_refused(cluster: LocalRay) -> None:
    job = on(cluster, "--cpus", "3", "--gpus", "0.5")
    assert (job.returncode, "no node of the cluster has 3 CPU and 0.5 GPU for a worker" in job.stderr) == (2, True)


@pytest.mark.whole
def test_buckets_and_the_clients_of_a_cluster(cluster: LocalRay, cloud: Cloud) -> None:
    source, results = cloud.bucket({name: name.encode() for name in NAMES[:30]}), cloud.bucket()
    line = [str(RAY.programs / "instore"), "transform", "upper.py", f"s3://{source}", f"s3://{results}"]
    job = subprocess.run(
        [*line, "--endpoint", cloud.endpoint, "--on", cluster.url],
        env={**os.environ, **CREDENTIALS},
        capture_output=True,
        text=True,
    )
    assert job.returncode == 0, job.stderr
    assert cloud.content(results) == {name: name.upper().encode() for name in NAMES[:30]}


@pytest.mark.whole
def test_a_class_of_a_script_and_members_of_shards(cluster: LocalRay) -> None:
    script = """
        import tarfile, io, os, instore

        os.mkdir("shards")
        with tarfile.open("shards/x.tar", "w") as tar:
            for name in ("a.txt", "bad.txt", "c.bin"):
                info = tarfile.TarInfo(name)
                info.size = 3
                tar.addfile(info, io.BytesIO(name[:3].encode()))

        class Upper(instore.ETLServer):
            def transform(self, data, path, etl_args):
                if data == b"bad":
                    raise ValueError("it is bad")
                return data.upper()

        report = instore.run(
            Upper, "shards", "dst", on="ray", shared_folders=True, members="*.txt", members_on_error="drop"
        )
        assert report.ok, report
        print(report.members_transformed, report.members_copied, report.members_failed)
        with tarfile.open("dst/x.tar") as tar:
            print({member.name: tar.extractfile(member).read() for member in tar})
    """
    Path("script.py").write_text(textwrap.dedent(script))
    done = subprocess.run([str(RAY.python), "script.py"], env=environment(cluster), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 1 1\n{'a.txt': b'A.T', 'c.bin': b'c.b'}\n"


@pytest.mark.whole
@pytest.mark.parametrize("option", ["--debug", "--watch"])
def test_what_is_for_this_machine_is_refused(option: str) -> None:
    line = [sys.executable, "-m", "instore", "transform", "upper.py", "src", "dst", "--on", "ray", option]
    job = subprocess.run(line, capture_output=True, text=True)
    assert (job.returncode, f"leave it out, or {option}" in job.stderr) == (2, True), job.stderr
