"""The folder whose files clients may turn into objects. Nothing else of the machine's files is opened for them."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from instore.errors import (
    ConfigurationError,
    ForbiddenFileError,
    InvalidRequestError,
    NotSupportedError,
    ObjectNotFoundError,
    SourceError,
)
from instore.store.walk import walk
from instore.system.files import disk_error

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not blocking: a pipe would wait for a writer


class PromotableFolder:
    """A folder that the operator has named. Its methods block.

    Strategy: a path is opened name by name from the folder on, and no name of it may be a symbolic link. So it leads
    nowhere else, even if somebody exchanges a folder for a link meanwhile.

    Args:
        path: the folder; empty: there is none, and nothing may be opened.
        data: the node's own, which clients must not read files of.

    Raises:
        ConfigurationError: it is no folder, or one lies in the other.
    """

    def __init__(self, path: str, data: str) -> None:
        self.path = os.path.abspath(path) if path else ""
        if not path:
            return
        if not os.path.isdir(path):
            raise ConfigurationError(f"{path} is not a folder; name one whose files clients may name with --promote")
        real, own = os.path.realpath(path), os.path.realpath(data)
        if os.path.commonpath([real, own]) in (real, own):
            raise ConfigurationError(
                f"clients may not read the node's own files: {path} and its data in {data} must not be in each other; "
                "name another folder with --promote"
            )

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder, and not a file; raises as `open` does."""
        with self.open(path) as descriptor:
            return stat.S_ISDIR(os.fstat(descriptor).st_mode)

    def names(self, path: str, scratch: str, recurse: bool) -> Iterator[str]:
        """The paths of the files in a folder, beginning behind it, in order and in bounded memory.

        What is neither file nor folder has a name here, too: whoever opens it is told why it can't be.
        """
        try:
            for name in walk(path, scratch, recurse=recurse):
                if not name.endswith("/"):
                    yield name
        except OSError as error:
            raise disk_error(f"reading the folder {path} failed", error, self.path) from error

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[int]:
        """A file or folder, open for reading.

        Raises:
            NotSupportedError: the operator has named no folder.
            InvalidRequestError: the path is not absolute, or has empty parts, `.` or `..`.
            ForbiddenFileError: it doesn't lie in the folder, or it leads over a symbolic link or to a device.
            ObjectNotFoundError: it is not there.
        """
        with self._above(path) as (folder, name):
            descriptor = _open(name, folder, path)
        try:
            if not (stat.S_ISREG(mode := os.fstat(descriptor).st_mode) or stat.S_ISDIR(mode)):
                raise ForbiddenFileError(f"{path!r} can't be promoted: it is neither a file nor a folder")
            yield descriptor
        finally:
            os.close(descriptor)

    def delete(self, path: str) -> None:
        """Delete a file; raises as `open` does."""
        with self._above(path) as (folder, name):
            try:
                os.unlink(name, dir_fd=folder)
            except OSError as error:
                raise disk_error(f"deleting {path} failed", error, self.path) from error

    @contextlib.contextmanager
    def _above(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder that a path is in, open, and its name there."""
        *folders, name = self._parts(path)
        try:
            descriptor = os.open(self.path, _FOLDER)
        except OSError as error:
            raise disk_error(f"opening {self.path} failed", error, self.path) from error
        try:
            for folder in folders:
                above, descriptor = descriptor, _open(folder, descriptor, path)
                os.close(above)
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _parts(self, path: str) -> list[str]:
        if not self.path:
            raise NotSupportedError(
                "promoting files of this machine is not supported by this node: no folder is open for that; "
                "put them, or start it with --promote DIR"
            )
        if not path.startswith("/") or "\0" in path:
            raise InvalidRequestError(f"{path!r} can't be promoted: the path is not absolute, as {self.path}/FILE is")
        parts = path.rstrip("/").split("/")[1:]
        if not all(parts) or "." in parts or ".." in parts:
            raise InvalidRequestError(f"{path!r} can't be promoted: a path here has no empty parts, '.' and '..'")
        own = self.path.rstrip("/").split("/")[1:]
        if parts[: len(own)] != own:
            raise ForbiddenFileError(f"{path!r} can't be promoted: it must be in {self.path}")
        return parts[len(own) :] or ["."]


def _open(name: str, folder: int, path: str) -> int:
    try:
        return os.open(name, _BELOW, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectNotFoundError(f"{path!r} can't be promoted: it is not there") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ForbiddenFileError(f"{path!r} can't be promoted: {name!r} is a symbolic link") from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENAMETOOLONG):
            raise ForbiddenFileError(f"{path!r} can't be promoted: {error.strerror}") from None
        raise SourceError(f"{path!r} can't be promoted: {error.strerror}") from error
