"""What builds a transform's image: a Dockerfile, and beside it all that it copies."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from instore.errors import ConfigurationError
from instore.shipping.image.imports import Imports, files_of

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Container:
    """An image.

    Attributes:
        imports: the transform's files.
        wheel: instore's wheel, a file's name in the folder of the Dockerfile.
        extras: of instore that are installed.
        packages: what pip installs.
        os_packages: what apt-get installs.
        command: what the image runs.
    """

    imports: Imports
    wheel: str
    extras: Sequence[str]
    packages: Sequence[str]
    os_packages: Sequence[str]
    command: Sequence[str]

    def dockerfile(self, folder: Path) -> str:
        """The Dockerfile's text."""
        lines = ["# Written by instore spec. Build it in this folder: docker build -t IMAGE .", f"FROM {_BASE}"]
        if self.os_packages:
            lines += [
                "RUN apt-get update \\",
                f" && apt-get install --yes --no-install-recommends {shlex.join(self.os_packages)} \\",
                " && rm -rf /var/lib/apt/lists/*",
            ]
        lines.append(f"COPY {json.dumps([self.wheel, _TEMPORARY])}")
        wheel = _TEMPORARY + self.wheel + (f"[{','.join(self.extras)}]" if self.extras else "")
        lines.append(f"RUN pip install --no-cache-dir {shlex.join([wheel, *self.packages])}")
        lines.append("WORKDIR /etl")
        for entry in self.imports.entries:
            source = self._in(folder) / entry
            lines.append(f"COPY {json.dumps([source.as_posix(), f'./{entry.as_posix()}'])}")
        lines += ["EXPOSE 8000", f"CMD {json.dumps(list(self.command))}", ""]
        return "\n".join(lines)

    def copies(self, folder: Path) -> dict[Path, bytes]:
        """The files that must be copied into `folder`, because the build reads nothing outside of it."""
        if self.imports.root.is_relative_to(folder):
            return {}
        return {
            folder / file.relative_to(self.imports.root): file.read_bytes()
            for entry in self.imports.entries
            for file in files_of(self.imports.root / entry)
        }

    def _in(self, folder: Path) -> PurePosixPath:
        """Where the transform's files begin, seen from the Dockerfile."""
        inside = self.imports.root.is_relative_to(folder)
        return PurePosixPath(self.imports.root.relative_to(folder).as_posix() if inside else ".")


_BASE = f"python:{_PYTHON}-slim"
_TEMPORARY = "/tmp/"  # noqa: S108  # in the image


def write_files(files: dict[Path, bytes], force: bool) -> list[Path]:
    """Write files; none at all if one is there with other contents, unless `force` says to overwrite it."""
    changed = {path: data for path, data in files.items() if not (path.is_file() and path.read_bytes() == data)}
    in_the_way = [str(path) for path in changed if path.exists()]
    if in_the_way and not force:
        raise ConfigurationError(f"{', '.join(in_the_way)} would be overwritten; nothing was written; --force does it")
    try:
        for path, data in changed.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror}") from error
    return list(changed)
