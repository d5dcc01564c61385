"""Files: locked, written whole, given names that are free, brought on the disk."""

import contextlib
import ctypes
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator

from instore.errors import InstoreError, StorageError, StorageFullError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LIBC = ctypes.CDLL(None, use_errno=True)
_SYNCFS = getattr(_LIBC, "syncfs", None)  # Linux has both
_RENAMEAT2 = getattr(_LIBC, "renameat2", None)
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1


def write_all(file: int, data: bytes | bytearray | memoryview) -> int:
    """Write all of `data` to a descriptor, which may take less at once; its number of bytes."""
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
    return written


def nameless_file(what: str) -> int:
    """A file in memory, or where the system has none, a temporary one; its descriptor."""
    with contextlib.suppress(AttributeError, OSError):
        return os.memfd_create(what)
    with temporary(what), tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def lock(file: int, path: str, is_shared: bool = False) -> bool:
    """Lock what is open, without waiting; whether it is still the file at `path`, which its last holder may remove.

    A lock that is shared keeps out only one that is not.
    """
    fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def disk_error(doing: str, error: OSError, folder: str) -> InstoreError:
    """What the disk says, as one of our errors."""
    return _kind(error)(f"{doing}: {error.strerror} (in {folder})")


def _kind(error: OSError) -> type[InstoreError]:
    return StorageFullError if error.errno in _FULL else StorageError


@contextlib.contextmanager
def temporary(what: str) -> Iterator[None]:
    """Turn what keeps `what` from being kept in a temporary file into our errors."""
    try:
        yield
    except OSError as error:
        raise _kind(error)(
            f"{what} can't be kept in a temporary file: {error.strerror or error}; "
            "set TMPDIR to a folder that can be written and has room"
        ) from error


def open_locked(path: str, mode: int = 0o666, is_shared: bool = False) -> int:
    """Open a file, made if it is missing, and lock it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            if lock(file, path, is_shared):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def rename_to_free(path: str, name: str) -> None:
    """Rename a file to a name that nothing has, whatever the file system takes for the same name."""
    if _RENAMEAT2 is not None:
        source, target = os.fsencode(path), os.fsencode(name)
        if _RENAMEAT2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):  # NFS, and old kernels, don't know that flag
            raise OSError(number, os.strerror(number), name)
    os.link(path, name)
    os.unlink(path)


def flush_file_system(file: int) -> None:
    """Bring all that was written to the file system of `file` on the disk."""
    if _SYNCFS is None:
        os.sync()
    elif _SYNCFS(file) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
