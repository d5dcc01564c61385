"""Programs in Go that tests run beside ours: built from their source on first use, which takes minutes.

They lie in `.peers/`, which git ignores.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.environments import FOLDER, UnavailableError, alone

_FOLDER = FOLDER / "go"


def go_program(name: str, package: str, version: str) -> Path:
    """The program `name` that a package is. Raises `UnavailableError` where it can't be built."""
    program = _FOLDER / f"{name}-{version}"
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise UnavailableError(f"{name} can't be built here: there is no Go")
    FOLDER.mkdir(exist_ok=True)
    with alone(FOLDER / "go.lock"):
        if not program.exists():
            _build(go, package, version, program)
    return program


def _build(go: str, package: str, version: str, program: Path) -> None:
    folder = program.parent / "building"
    done = subprocess.run(
        [go, "install", f"{package}@{version}"],
        env={**os.environ, "GOBIN": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnavailableError(f"{program.name} can't be built here: {' '.join(done.stderr.split())[-300:]}")
    (folder / package.rpartition("/")[2]).rename(program)
