"""When the files that a transform is made of are saved."""

import contextlib
import os
import time
from pathlib import Path

from instore.errors import ConfigurationError
from instore.shipping.image.imports import files_of, find_imports

_LONGEST = 1000  # milliseconds until a save is seen that was made just before the wait


def check_watching(option: str) -> None:
    """Check that files can be watched.

    Raises:
        ConfigurationError: the library isn't installed; the text says what to install.
    """
    try:
        import watchfiles  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"{option} needs the package watchfiles: pip install 'instore[watch]' ({error})"
        ) from error


class Saves:
    """Tells when a file was saved that TRANSFORM is made of, or one of `others`.

    What is saved while nobody waits is seen by the next wait.
    """

    def __init__(self, transform: str, *others: str) -> None:
        self._transform = transform
        self._others = {str(Path(other).absolute()) for other in others}
        self._files: set[str] = set()
        self._seen = self._look()

    def wait(self) -> None:
        """Wait for a save."""
        import watchfiles

        while self._seen == _states(self._files):
            folders = {folder for file in self._files if os.path.isdir(folder := os.path.dirname(file))}
            if not folders:
                time.sleep(_LONGEST / 1000)
                continue
            for _ in watchfiles.watch(*folders, recursive=False, yield_on_timeout=True, rust_timeout=_LONGEST):
                if self._seen != _states(self._files):
                    break
        self._seen = self._look()

    def _look(self) -> dict[str, tuple[int, int, int]]:
        self._files = self._others | _files_of_transform(self._transform, self._files)
        return _states(self._files)


def _states(files: set[str]) -> dict[str, tuple[int, int, int]]:
    """What changes with each save of a file, be it written to or replaced."""
    states = {}
    for file in files:
        with contextlib.suppress(OSError):  # it is gone, or is about to be replaced
            status = os.stat(file)
            states[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return states


def _files_of_transform(transform: str, before: set[str]) -> set[str]:
    """Absolute paths; also those of before while the transform can't be read."""
    try:
        imports = find_imports(transform)
    except ConfigurationError:
        place = Path(transform.partition(":")[0]).absolute()
        return before | ({str(place)} if place.suffix == ".py" else set())
    return {str(file) for entry in imports.entries for file in files_of(imports.root / entry)}
