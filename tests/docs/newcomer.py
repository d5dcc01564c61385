"""What a newcomer does by the README alone, with a clock: `python -m tests.docs.newcomer`.

From a clone to a transform of one's own on one's own file, and from there to a passing test of one's own. What is
downloaded is told by itself: it is the network's time.
"""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.docs.test_links import ROOT

_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HERE = re.compile(r"<<'EOT'\n.*?^EOT\n", re.MULTILINE | re.DOTALL)
TRANSFORM, TEST = _SHELL.findall((ROOT / "README.md").read_text().partition("\n## Try it\n")[2])[:2]
"""The commands of the README's first two blocks."""


def commands(block: str) -> Iterator[str]:
    """The commands of a block, one by one; one that writes a file goes to the file's end."""
    while block:
        here = _HERE.search(block, 0)
        first, _, rest = block.partition("\n")
        end = here.end() if here and here.start() < len(first) else len(block) - len(rest)
        yield block[:end].rstrip()
        block = block[end:]


def is_setup(command: str) -> bool:
    """Whether a command makes the environment, which a test has already."""
    return "pip install" in command or "python3 -m venv" in command


def run(command: str, folder: Path, variables: dict[str, str]) -> tuple[str, float]:
    """What a command has printed, and its seconds."""
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{command}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr, seconds


def main() -> None:
    names = ("HOME", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "TMPDIR")
    with tempfile.TemporaryDirectory() as place:
        clone, wheels = Path(place, "instore"), Path(place, "wheels")
        path = f"{clone}/.venv/bin:{os.environ['PATH']}"
        variables = {name: os.environ[name] for name in names if name in os.environ} | {"PATH": path}
        told = [("git clone", run(f"git clone -q {ROOT} {clone}", Path(place), variables)[1])]
        fetch = f"python3 -m venv tools && tools/bin/pip download -q -d {wheels} {ROOT} 'hatchling>=1.26' pytest"
        download = run(fetch, Path(place), variables)[1]
        local = {**variables, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        for block, end in ((TRANSFORM, "a transform of one's own"), (TEST, "a test of one's own")):
            told += [(command.partition("\n")[0], run(command, clone, local)[1]) for command in commands(block)]
            print(*(f"{seconds:6.1f} s  {what}" for what, seconds in told), sep="\n")
            print(f"{sum(seconds for _, seconds in told):6.1f} s  together: {end}\n")
            told = []
        print(f"{download:6.1f} s  to download, besides")


if __name__ == "__main__":
    main()
