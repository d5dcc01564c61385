"""Running a package manager: what it says is kept, and shown if it fails."""

import logging
import re
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence

from instore.errors import InstallationError

logger = logging.getLogger("instore")

_TAIL = 15  # lines that are shown of what a manager said before it failed
_TELLING = ("ERROR:", "error:", "E:")


def run_manager(name: str, command: Sequence[str], wanted: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have a package manager install something."""
    logger.info("%s installs %s", name, ", ".join(wanted))
    began = time.monotonic()
    code, tail = run_quietly(name, command, environment)
    if code:
        for line in tail:
            logger.error("%s: %s", name, line)
        raise InstallationError(_complaint(name, code, tail, wanted))
    logger.info("%s installed %s in %.1f s", name, ", ".join(wanted), time.monotonic() - began)


def run_quietly(name: str, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run a command whose output is shown at the level `debug` only."""
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    ) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            for line in process.stdout:
                if line.strip():
                    tail.append(line.rstrip())
                    logger.debug("%s: %s", name, line.rstrip())
        except BaseException:  # we are being stopped
            process.terminate()
            raise
    return process.returncode, list(tail)


def _complaint(name: str, code: int, tail: Sequence[str], wanted: Sequence[str]) -> str:
    """One sentence: which packages the manager complained of, and the first line in which it did."""
    telling = [line for line in tail if line.lstrip().startswith(_TELLING)]
    for lines in (telling, tail):
        named = {package: line for line in reversed(lines) for package in wanted if _is_in(package, line)}
        if named:
            packages = [package for package in wanted if package in named]
            return f"{name} can't install {', '.join(packages)} (exit code {code}): {named[packages[0]].strip()}"
    why = (telling or tail or ["it said nothing"])[-1].strip()
    return f"{name} can't install {', '.join(wanted)} (exit code {code}): {why}"


def _is_in(package: str, line: str) -> bool:
    """Whether a line speaks of a package, whose version, extras or architecture don't matter."""
    name = re.split(r"[\s<>=!~\[;:/@(]", package, maxsplit=1)[0]
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line, re.IGNORECASE) is not None
