"""Opening an object's file: only what may be read, and never less of it than it holds."""

import fcntl
import io
import os
import stat
import sys
from collections.abc import Sequence

from instore.errors import ForbiddenFileError, InstoreError, ObjectNotFoundError, SourceError
from instore.protocol.environment import INSTORE_FILE_ROOTS
from instore.protocol.paths import is_object_file

# No final link is followed; a FIFO does not block the open.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MACOS_PATH_SIZE = 1024


class FileRules:
    """Which files a request may name.

    Args:
        roots: folders below which every file is allowed, besides the store's own layout.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(roots)
        self._real_roots = tuple(os.path.realpath(root) for root in roots)

    def open(self, path: str) -> tuple[int, int]:
        """Open the file at `path`.

        The text of the path is judged before anything is opened, and the true path of what was opened is judged
        again: no link leads out.

        Returns:
            The file's descriptor and its size in bytes.

        Raises:
            ForbiddenFileError: not an object's file, or not a regular file.
            ObjectNotFoundError: not there.
            SourceError: the system can't open it.
        """
        if not is_object_file(path, self._roots):
            raise _forbidden(path)
        try:
            descriptor = os.open(path, _FLAGS)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectNotFoundError(f"no file {path!r}") from error
        except OSError as error:
            if os.path.islink(path):
                raise _forbidden(path) from error
            raise SourceError(f"can't open {path!r}: {error.strerror}") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not is_object_file(_true_path(descriptor), self._real_roots):
                raise _forbidden(path)  # noqa: TRY301
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, status.st_size

    def check(self, path: str) -> None:
        """Check that the file at `path` may be read and is there; errors as for `open`."""
        descriptor, _ = self.open(path)
        os.close(descriptor)

    def read(self, path: str) -> bytes:
        """The whole file.

        Raises:
            SourceError: it changed its size while it was read, or the disk failed.
            InstoreError: as for `open`.
        """
        descriptor, size = self.open(path)
        try:
            data = os.read(descriptor, size + 1)
            if len(data) != size:  # a large file comes in several reads
                data = _read_rest(descriptor, data, size)
        except OSError as error:
            raise SourceError(f"can't read {path!r}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if len(data) != size:
            raise SourceError(f"{path!r} changed while it was read: {size} bytes when opened, {len(data)} read")
        return data

    def reader(self, path: str) -> "FileReader":
        """A reader over the file; errors as for `open`."""
        descriptor, size = self.open(path)
        return FileReader(_CheckedFile(descriptor, size, path))


class FileReader(io.BufferedReader):
    """A buffered reader over an object's file that knows whether a read failed."""

    raw: "_CheckedFile"

    def __init__(self, raw: "_CheckedFile") -> None:
        super().__init__(raw, 1 << 18)

    @property
    def failure(self) -> InstoreError | None:
        """The error that a read raised, if one did."""
        return self.raw.failure

    @property
    def received(self) -> int:
        """Bytes read from the file."""
        return self.raw.received


class _CheckedFile(io.FileIO):
    """A file that raises where it should end too early."""

    def __init__(self, descriptor: int, size: int, path: str) -> None:
        super().__init__(descriptor, "rb")
        self.failure: InstoreError | None = None
        self.received = 0
        self._size = size
        self._path = path

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        return self._checked(super().readinto(buffer))

    def readall(self) -> bytes:
        data = super().readall()
        self.received += len(data)
        self._checked(0)
        return data

    def _checked(self, count: int | None) -> int:
        if not count and self.tell() < self._size:
            self.failure = SourceError(
                f"{self._path!r} shrank while it was read: {self._size} bytes when opened, it ends after {self.tell()}"
            )
            raise self.failure
        self.received += count or 0
        return count or 0


def _forbidden(path: str) -> ForbiddenFileError:
    return ForbiddenFileError(
        f"{path!r} is not an object's file; allowed are <mountpath>/@<provider>/<bucket>/%ob/<object> "
        f"and files under the folders of {INSTORE_FILE_ROOTS}"
    )


def _read_rest(descriptor: int, start: bytes, size: int) -> bytes:
    """Read on, up to one byte past `size`."""
    chunks, total = [start], len(start)
    while total <= size and (chunk := os.read(descriptor, size + 1 - total)):
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks)


def _true_path(descriptor: int) -> str:
    """The path of what was opened, after every link."""
    if sys.platform == "darwin":
        raw = fcntl.fcntl(descriptor, fcntl.F_GETPATH, b"\0" * _MACOS_PATH_SIZE)
        return os.fsdecode(raw.rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{descriptor}")
