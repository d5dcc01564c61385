"""A folder with packages of its own, over those of the Python that runs this.

It is a virtual environment without pip. A line of Python in it makes our own packages visible behind its own, so that
instore runs there and nothing that is here is installed again.
"""

import fcntl
import logging
import os
import shutil
import site
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from instore.errors import ConfigurationError

logger = logging.getLogger("instore")

_LINK = "instore-environment.pth"


class PackageEnvironment:
    """An environment in a folder, made when it is first wanted and used again as long as it fits this Python."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).absolute()
        self._site = Path(_place(self._folder, "purelib"))

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(Path(_place(self._folder, "scripts")) / "python")

    @property
    def path(self) -> list[str]:
        """Where its interpreter looks for packages."""
        return [str(self._site), *(os.path.abspath(folder) for folder in sys.path)]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from making it, or installing into it, while this context lasts."""
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            with open(f"{self._folder}.lock", "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ConfigurationError(f"can't use the environment {self._folder}: {error}") from error

    def prepare(self) -> None:
        """Make it if it isn't there, and again if it was made for another Python. Call it while it is locked."""
        link = next(self._folder.glob(f"lib*/python*/site-packages/{_LINK}"), None)
        if link is not None and link.parent == self._site and link.read_text(encoding="utf-8") == _link():
            return
        if link is not None:
            logger.info("environment %s was made for another Python; it is made again", self._folder)
            shutil.rmtree(self._folder)
        elif self._folder.exists() and any(self._folder.iterdir()):
            raise ConfigurationError(
                f"{self._folder} is not empty and no environment that instore made; give --environment another folder"
            )
        self._make()

    def _make(self) -> None:
        # Made beside its place and then moved there: what has its name is whole.
        new = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        try:
            venv.EnvBuilder(symlinks=True).create(new)
            (Path(_place(new, "purelib")) / _LINK).write_text(_link(), encoding="utf-8")
            os.replace(new, self._folder)
        except BaseException:
            shutil.rmtree(new)
            raise
        logger.info("environment %s made", self._folder)


def _place(folder: Path, kind: str) -> str:
    return sysconfig.get_path(kind, "venv", {"base": str(folder), "platbase": str(folder)})


def _link() -> str:
    """A `.pth` file: comments, and lines of Python that run when the interpreter starts."""
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    return "\n".join([f"# {sys.version.split()[0]} {sys.base_prefix}", *lines, ""])
