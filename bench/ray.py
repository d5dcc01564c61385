"""`instore transform --on ray`: two nodes of one core each against one."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.peers import TRANSFORMS
from bench.processes import BOTH_CORES, LOAD_CORE, SERVER_CORE, BenchError
from bench.site import Site, WrongAnswerError
from tests.support.environments import RAY, UnavailableError
from tests.support.ray_cluster import local_ray

_ROUNDS = "400000"  # of the transform: some 40 ms
_TIMEOUT = 900.0


def times_as_fast(site: Site, count: int) -> float:
    """How many times as fast a CPU-bound job over `count` objects is with a second node, each pinned to a core.

    Raises:
        BenchError: there is no Ray here.
        WrongAnswerError: the command failed.
    """
    try:
        RAY.make()
    except UnavailableError as error:
        raise BenchError(str(error)) from error
    source = _folder(site, count)
    with local_ray({}, nodes=0) as cluster:
        cluster.add(SERVER_CORE)
        one = _seconds(site, source, cluster.address)
        cluster.add(str(LOAD_CORE))
        two = _seconds(site, source, cluster.address)
    return one / two


def _seconds(site: Site, source: Path, address: str) -> float:
    """What a job takes, from the start of its workers to its end."""
    results, report = site.folder / "results", site.folder / "report.json"
    command = [str(RAY.programs / "instore"), "transform", str(TRANSFORMS / "burn.py"), str(source), str(results)]
    options = ["--args", _ROUNDS, "--on", "ray", "--shared-folders", "--report", str(report)]
    done = subprocess.run(
        ["taskset", "-c", BOTH_CORES, *command, *options],
        env={**os.environ, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        raise WrongAnswerError(f"instore transform --on ray ended with {done.returncode}: {done.stderr[-300:]}")
    shutil.rmtree(results)
    return float(json.loads(report.read_text())["summary"]["seconds"])


def _folder(site: Site, count: int) -> Path:
    folder = site.folder / f"small-{count}"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:05}").write_bytes(b"small")
    return folder
