"""`instore transform` over a folder of small files, and a script that does the same, in turn."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from bench.peers import ROOT, TRANSFORMS
from bench.processes import BOTH_CORES
from bench.site import Site, WrongAnswerError, slice_of_block

PROGRAM = (str(Path(sys.executable).parent / "instore"), "transform", str(TRANSFORMS / "echo.py"))
SCRIPT = (sys.executable, str(ROOT / "bench" / "script.py"))
_TIMEOUT = 900.0


class Rates(NamedTuple):
    """Objects per second, start-up included.

    Attributes:
        ours: of the command with as many workers as cores.
        one_worker: of the command with one.
        script: of the script.
    """

    ours: float
    one_worker: float
    script: float


def objects_per_second(site: Site, count: int) -> Rates:
    """Put `count` files of 16 KiB through each; every result is compared.

    Raises:
        WrongAnswerError: a command failed, or a result is not the object.
    """
    source = _folder(site, count)
    return Rates(
        _rate(site, count, *PROGRAM, str(source)),
        _rate(site, count, *PROGRAM, "--workers", "1", str(source)),
        _rate(site, count, *SCRIPT, str(source)),
    )


def _rate(site: Site, count: int, *command: str) -> float:
    """That of a command whose last argument is the folder of its results."""
    results = site.folder / "results"
    began = time.perf_counter()
    run = subprocess.run(
        ["taskset", "-c", BOTH_CORES, *command, str(results)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    took = time.perf_counter() - began
    if run.returncode:
        raise WrongAnswerError(f"{Path(command[0]).name} ended with {run.returncode}: {run.stderr[-300:]}")
    for number in range(count):
        if (results / object_name(number)).read_bytes() != slice_of_block(number):
            raise WrongAnswerError(f"{Path(command[0]).name}: {object_name(number)} is not the object")
    shutil.rmtree(results)
    return count / took


def _folder(site: Site, count: int) -> Path:
    folder = site.folder / f"files-{count}"
    if not folder.exists():
        for number in range(count):
            path = folder / object_name(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(slice_of_block(number))
        subprocess.run(["sync"], check=True)
    return folder


def object_name(number: int) -> str:
    """That of object `number`, in a folder of a thousand."""
    return f"{number // 1000:03}/{number:06}.bin"
