"""Python packages, with pip: into the Python that runs this, or into an environment of their own."""

import importlib.metadata
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from instore.errors import InstallationError
from instore.shipping.packages.managers import run_manager

logger = logging.getLogger("instore")

_US = "instore"


def install_packages(requirements: Sequence[Requirement], python: str, path: Sequence[str]) -> bool:
    """Install what is not there yet, with what that needs. If all is there, pip is not even asked.

    What instore itself needs stays in a version that it can run with.
    """
    installed = Installed(path)
    missing = [requirement for requirement in requirements if not installed.satisfies(requirement)]
    if not missing:
        if requirements:
            logger.info("packages: all there")
        return False
    names = [str(requirement) for requirement in missing]
    if not installed.has("pip"):
        raise InstallationError(
            f"can't install {', '.join(names)} of PACKAGES: pip is not there; use an image that has it or the packages"
        )
    with tempfile.NamedTemporaryFile("w", prefix="instore-", suffix=".txt", encoding="utf-8") as constraints:
        constraints.writelines(f"{one.name}{one.specifier}\n" for one in _our_requirements())
        constraints.flush()
        command = [python, "-m", "pip", "install", *_OPTIONS, "--constraint", constraints.name, *names]
        run_manager("pip", command, names, {**os.environ, "PIP_NO_INPUT": "1", "NO_COLOR": "1"})
    return True


_OPTIONS = (
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-warn-script-location",
    "--root-user-action=ignore",
)


class Installed:
    """The packages that are there."""

    def __init__(self, path: Sequence[str]) -> None:
        self._found: dict[str, importlib.metadata.Distribution] = {}
        for distribution in importlib.metadata.distributions(path=list(path)):
            if name := distribution.metadata["Name"]:
                self._found.setdefault(canonicalize_name(name), distribution)

    def has(self, name: str) -> bool:
        """Whether there is a package of that name."""
        return canonicalize_name(name) in self._found

    def satisfies(self, requirement: Requirement) -> bool:
        """Whether the package is there in a version asked for, and likewise all that it needs."""
        return self._satisfies(requirement, "", set())

    def _satisfies(self, requirement: Requirement, extra: str, seen: set[tuple[str, frozenset[str]]]) -> bool:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            return True  # not asked for here
        name = canonicalize_name(requirement.name)
        extras = frozenset(requirement.extras)
        distribution = self._found.get(name)
        if distribution is None or not requirement.specifier.contains(distribution.version, prereleases=True):
            return False
        if requirement.url is not None and not _came_from(distribution, requirement.url):
            return False
        if (name, extras) in seen:
            return True
        seen.add((name, extras))
        needs = [Requirement(text) for text in distribution.requires or ()]
        return all(self._satisfies(need, one, seen) for need in needs for one in ("", *extras))


def _came_from(distribution: importlib.metadata.Distribution, url: str) -> bool:
    return f'"{url}"' in (distribution.read_text("direct_url.json") or "")


def _our_requirements() -> Iterable[Requirement]:
    for text in importlib.metadata.requires(_US) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def our_path() -> list[str]:
    """Where this process looks for packages."""
    return [os.path.abspath(folder) for folder in sys.path]
