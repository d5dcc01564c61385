"""Run the examples as a person does, on real files that installed packages ship."""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from instore import ETLServer

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run_command(example: str, source: Path, results: Path, *options: str, **environment: str) -> str:
    """`instore transform` of a folder, which has to succeed; what it printed."""
    done = try_command(example, source, results, *options, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def try_command(
    example: str, source: Path, results: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`instore transform` of a folder, however it ends."""
    command = [sys.executable, "-m", "instore", "transform", str(EXAMPLES / example), str(source), str(results)]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIS_", "ETL_"))}
    return subprocess.run([*command, *options], env=own | environment, capture_output=True, text=True, check=False)


def load(example: str) -> ETLServer:
    """The example's class, made in this process."""
    members = runpy.run_path(str(EXAMPLES / example))
    (cls,) = (m for m in members.values() if isinstance(m, type) and issubclass(m, ETLServer) and m is not ETLServer)
    return cls()


def package_folder(package: str) -> Path:
    """Where an installed package lies; it isn't imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def photograph(name: str) -> Path:
    """One of the photographs that scikit-image ships."""
    return package_folder("skimage") / "data" / name


def airports() -> Path:
    """The table of the world's airports that airportsdata ships: 28,000 lines, 3 MB."""
    return package_folder("airportsdata") / "airports.csv"


def python_sources(limit: int = 12_000_000) -> bytes:
    """A large text: the sources of Python's own standard library, joined until there are `limit` bytes."""
    library = Path(sysconfig.get_path("stdlib"))
    text = bytearray()
    for file in sorted(library.rglob("*.py")):
        if "site-packages" not in file.parts and len(text) < limit:
            text += file.read_bytes()
    return bytes(text)


def gather(folder: Path, *files: Path) -> Path:
    """A folder with copies of `files`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return folder


def names_in(folder: Path) -> list[str]:
    """The files below `folder`, by relative name."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
