"""System packages, with the system's own manager: apt-get or apk, whichever is there."""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from instore.errors import ConfigurationError, InstallationError
from instore.protocol.environment import OS_PACKAGES
from instore.shipping.packages.managers import run_manager, run_quietly

logger = logging.getLogger("instore")

# A name, then what the managers know behind it: an architecture; a version, a release, a tag. With a hyphen at the end
# apt-get would remove the package; what begins with one is an option.
_NAME = re.compile(r"[a-z0-9][a-z0-9+._-]*(?<!-)(:[a-z0-9]+)?([=<>~/@][^\s,]+(?<!-))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Manager:
    """A package manager.

    Attributes:
        query: the command that tells whether a package is there; its name is appended.
        there: what the query prints for one that is; None: the exit code tells.
        refresh: the command that fetches the list of packages; empty: `install` does so.
        install: the command that installs; names are appended.
    """

    query: tuple[str, ...]
    there: str | None
    refresh: tuple[str, ...]
    install: tuple[str, ...]


_MANAGERS = {
    "apt-get": _Manager(
        query=("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}\n", "--"),
        there="installed ",
        refresh=("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"),
        install=(
            *("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "install"),
            *("--yes", "--no-install-recommends", "--"),
        ),
    ),
    "apk": _Manager(
        query=("apk", "info", "--installed"),
        there=None,
        refresh=(),
        install=("apk", "add", "--no-cache", "--"),
    ),
}


def check_names(names: Sequence[str], source: str) -> None:
    """Check that names may be handed to a manager."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{source} has the entry {name!r}, which is not a valid package name")


def install_system_packages(names: Sequence[str]) -> None:
    """Install the packages that are not there yet."""
    check_names(names, OS_PACKAGES)
    if not names:
        return
    found = next((manager for manager in _MANAGERS if shutil.which(manager)), None)
    if found is None:
        raise InstallationError(
            f"can't install {', '.join(names)} of {OS_PACKAGES}: neither {' nor '.join(_MANAGERS)} is here; "
            "use an image that has the packages"
        )
    missing = [name for name in names if not _is_there(_MANAGERS[found], name)]
    if not missing:
        logger.info("system packages: all there")
        return
    if os.geteuid() != 0:
        raise InstallationError(
            f"can't install {', '.join(missing)} of {OS_PACKAGES}: {found} needs root, and "
            f"this is user {os.geteuid()}; run the container as root, or use an image that has the packages"
        )
    _install(found, missing)


def _is_there(manager: _Manager, name: str) -> bool:
    package, version = name, ""
    if manager.there is not None:
        package, _, version = name.partition("/")[0].partition("=")
    run = subprocess.run(  # noqa: S603
        [*manager.query, package], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if run.returncode or manager.there is None:
        return not run.returncode
    return run.stdout.startswith(manager.there) and version in ("", run.stdout.split()[-1])


def _install(name: str, missing: Sequence[str]) -> None:
    manager = _MANAGERS[name]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    if manager.refresh:
        code, tail = run_quietly(name, manager.refresh, environment)
        if code:  # one list out of several may be enough
            logger.warning("%s could not fetch the lists of packages: %s", name, tail[-1] if tail else f"code {code}")
    run_manager(name, [*manager.install, *missing], missing, environment)
