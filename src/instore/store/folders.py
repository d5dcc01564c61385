"""Folders that are done with."""

import errno
import os
import threading
import time

_OLD = 7 * 24 * 3600  # seconds after which an upload in parts that nobody goes on with is dropped


def is_old(path: str) -> bool:
    """Whether nobody goes on with what lies there."""
    return os.stat(path, follow_symlinks=False).st_mtime < time.time() - _OLD


def empty(folder: str, stopping: threading.Event) -> None:
    """Remove all that is in a folder, until `stopping` is set."""
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if stopping.is_set():
            return
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
            continue
        empty(entry.path, stopping)
        if not stopping.is_set():
            os.rmdir(entry.path)


def remove_empty(folder: str) -> bool:
    """Remove a folder that holds nothing but folders; say whether it is gone. It stops at the first file."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False) or not remove_empty(entry.path):
                    return False
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True
