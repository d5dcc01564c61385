"""Opening an object's file: only what may be read, and as a whole what it was when it was opened.

A file that is replaced, as a store does it, stays what was opened. One that is written to in place does not: its size
and the time of its last change tell. (Two writes within one tick of the file system's clock, a few milliseconds, have
the same time.)
"""

import contextlib
import fcntl
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from instore.errors import ForbiddenFileError, InstoreError, ObjectNotFoundError, SourceError
from instore.protocol.environment import INSTORE_FILE_ROOTS
from instore.protocol.paths import is_object_file
from instore.server.readers import ForwardReader

# No final link is followed; a FIFO does not block the open.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MACOS_PATH_SIZE = 1024

Result = TypeVar("Result")


class FileRules:
    """Which files a request may name."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(roots)
        self._real_roots = tuple(os.path.realpath(root) for root in roots)

    def open(self, path: str) -> "OpenFile":
        """Open the file at `path`.

        The text of the path is judged before anything is opened, and the true path of what was opened is judged
        again: no link leads out.
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
        return OpenFile(path, descriptor, status.st_size, status.st_mtime_ns)

    @contextlib.contextmanager
    def path(self, path: str) -> Iterator[str]:
        """The path itself, for a program that opens it by its name.

        What it opens is not in our hand. So the file is held open, and at the end the path must still lead to it and
        the file be as it was. Who can put a link in its place and take it away again in time, which needs the right to
        write to the folder, is not noticed.
        """
        file = self.open(path)
        try:
            yield path
            file.check_place()
            file.check(file.size)
        finally:
            os.close(file.descriptor)

    def read(self, path: str) -> bytes:
        """The whole file."""
        file = self.open(path)
        try:
            data = os.read(file.descriptor, file.size + 1)
            if len(data) != file.size:  # a large file comes in several reads
                data = _read_rest(file.descriptor, data, file.size)
            file.check(len(data))
        except OSError as error:
            raise SourceError(f"can't read {path!r}: {error.strerror}") from error
        finally:
            os.close(file.descriptor)
        return data

    def reader(self, path: str) -> "FileReader":
        """A reader over the file; errors as for `open`."""
        return FileReader(_CheckedFile(self.open(path)))


class OpenFile(NamedTuple):
    """A file as it was when it was opened; that is what its object is."""

    path: str
    descriptor: int
    size: int
    modified: int

    def check(self, read: int) -> None:
        """Check at the end that `read` bytes are the whole file, and that nobody wrote to it meanwhile."""
        try:
            status = os.fstat(self.descriptor)
        except OSError as error:
            raise SourceError(f"can't read {self.path!r}: {error.strerror}") from error
        if read == self.size == status.st_size and status.st_mtime_ns == self.modified:
            return
        sizes = f"{self.size} bytes when opened, {read} read, {status.st_size} now"
        raise SourceError(f"{self.path!r} changed while it was read: {sizes}")

    def check_place(self) -> None:
        """Check that the path still leads to this file."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise SourceError(f"{self.path!r} is gone since it was opened: {error.strerror}") from error
        if not os.path.samestat(found, os.fstat(self.descriptor)):
            raise SourceError(f"{self.path!r} was replaced by another file since it was opened")


class FileReader(ForwardReader):
    """A buffered reader over an object's file that knows whether a read failed."""

    raw: "_CheckedFile"

    @property
    def failure(self) -> InstoreError | None:
        """Why what was read is not the object, or no part of it."""
        return self.raw.failure

    @property
    def received(self) -> int:
        """Bytes read from the file."""
        return self.raw.received


class _CheckedFile(io.FileIO):
    """A file that raises where it ends too early or too late, or has changed."""

    def __init__(self, file: OpenFile) -> None:
        super().__init__(file.descriptor, "rb")
        self.received = 0
        self._file = file
        self._failure: InstoreError | None = None

    @property
    def failure(self) -> InstoreError | None:
        """The error that a read raised; and where the file was not read to its end, whether it has changed by now."""
        if self._failure is None and not self.closed:
            with contextlib.suppress(SourceError):  # which is noted
                self._check(self._file.size)
        return self._failure

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._read(super().readinto, buffer) or 0
        self.received += count
        if not count or self.received > self._file.size:
            self._check(self.received)
        return count

    def readall(self) -> bytes:
        data = self._read(super().readall)
        self.received += len(data)
        self._check(self.received)
        return data

    def close(self) -> None:
        """Close it, with a last look at whether it has changed."""
        _ = self.failure
        super().close()

    def _read(self, read: Callable[..., Result], *arguments: object) -> Result:
        try:
            return read(*arguments)
        except OSError as error:
            self._failure = SourceError(f"can't read {self._file.path!r}: {error.strerror}")
            raise self._failure from error

    def _check(self, read: int) -> None:
        try:
            self._file.check(read)
        except SourceError as error:
            self._failure = error
            raise


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
