"""`instore transform` over a folder of small files."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.peers import TRANSFORMS
from bench.processes import BOTH_CORES
from bench.site import Site, WrongAnswerError, slice_of_block

_TIMEOUT = 900.0


def objects_per_second(site: Site, count: int) -> float:
    """Put `count` files of 16 KiB through the command; every result is compared.

    Raises:
        WrongAnswerError: the command failed, or a result is not the object.
    """
    source, results = _folder(site, count), site.folder / "results"
    command = [str(Path(sys.executable).parent / "instore"), "transform", str(TRANSFORMS / "echo.py")]
    began = time.perf_counter()
    run = subprocess.run(
        ["taskset", "-c", BOTH_CORES, *command, str(source), str(results)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    took = time.perf_counter() - began
    if run.returncode:
        raise WrongAnswerError(f"instore transform ended with {run.returncode}: {run.stderr[-300:]}")
    for number in range(count):
        if (results / _name(number)).read_bytes() != slice_of_block(number):
            raise WrongAnswerError(f"instore transform: {_name(number)} is not the object")
    shutil.rmtree(results)
    return count / took


def _folder(site: Site, count: int) -> Path:
    folder = site.folder / f"files-{count}"
    if not folder.exists():
        for number in range(count):
            path = folder / _name(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(slice_of_block(number))
        subprocess.run(["sync"], check=True)
    return folder


def _name(number: int) -> str:
    return f"{number // 1000:03}/{number:06}.bin"
