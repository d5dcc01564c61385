"""`instore transform` over a folder of small files, and a script that does the same, in turn.

Nothing is deleted before the end: ext4 gives away no inode for a minute or more after its file was deleted, and who
makes files meanwhile pays for the search, up to ten times as much as for making them.
"""

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
        synced: of the script, with a `sync` behind it; a job's results are on the disk when it ends.
    """

    ours: float
    one_worker: float
    script: float
    synced: float


def objects_per_second(site: Site, count: int) -> Rates:
    """Put `count` files of 16 KiB through each; every result is compared.

    Raises:
        WrongAnswerError: a command failed, or a result is not the object.
    """
    source = str(_folder(site, count))
    ours, one_worker, script = (
        _rates(site, count, *command, source) for command in (PROGRAM, (*PROGRAM, "--workers", "1"), SCRIPT)
    )
    return Rates(ours[0], one_worker[0], *script)


def _rates(site: Site, count: int, *command: str) -> tuple[float, float]:
    """That of a command whose last argument is the folder of its results, and that of it with a `sync` behind it."""
    results = site.new_folder("results")
    subprocess.run(["sync"], check=True)  # what others have left to be written
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
    subprocess.run(["sync"], check=True)
    took_synced = time.perf_counter() - began
    for number in range(count):
        if (results / object_name(number)).read_bytes() != slice_of_block(number):
            raise WrongAnswerError(f"{Path(command[0]).name}: {object_name(number)} is not the object")
    return count / took, count / took_synced


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
