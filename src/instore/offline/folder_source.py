"""A folder as a source: which of its files are objects.

The walk is a generator, in the order of whole names, and in bounded memory, however many files a folder has. It may be
run more than once, and reads nothing but folders and the state of files. A job that is in a hurry has it begin with the
first files of each folder as they come, before the others are read and put in order.
"""

import os
import re
import stat
from collections.abc import Iterator

from instore.errors import ConfigurationError
from instore.etl.communicator import TransformRequest
from instore.http.limits import SMALL
from instore.offline.folder_destination import PARTIAL
from instore.offline.interfaces import AT_ONCE, NOT_THERE, Item, ItemState
from instore.offline.records import OF_A_JOB, in_records
from instore.store.walk import sorted_entries
from instore.system.printable import printable


class FolderSource:
    """A folder's files; a `ListedSource`.

    Args:
        folder: its path, as the user gave it.
        prefix: only objects whose name starts with it.

    Attributes:
        folder: its real path.

    Raises:
        ConfigurationError: it is not a folder.
    """

    def __init__(self, folder: str, prefix: str = "") -> None:
        if not os.path.isdir(folder):
            reason = "is not a folder" if os.path.lexists(folder) else "does not exist"
            raise ConfigurationError(f"SRC {printable(folder)} {reason}; name a folder with the files to transform")
        self.folder = os.path.realpath(folder)
        self.prefix = prefix
        self._start = os.path.join(self.folder, "")
        self._bucket = os.path.basename(self.folder) or "root"  # the bucket's name on the wire

    @property
    def file_root(self) -> str:
        """The folder: workers read its files."""
        return self.folder

    def path(self, item: Item) -> str:
        """`<folder's name>/<object>`."""
        return f"{self._bucket}/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """By the path of its file; the result is the answer."""
        return TransformRequest(self.path(item), item.path, etl_args, takes_results=True, is_small=item.size <= SMALL)

    def list(self) -> Iterator[Item]:
        """Everything in the folder whose name starts with the prefix, folders excepted."""
        return self._list()

    def list_at_once(self) -> Iterator[Item]:
        """See `AtOnce`."""
        return self._list(AT_ONCE)

    def _list(self, at_once: int = 0) -> Iterator[Item]:
        folders = [_names(self.folder, "", at_once)]
        while folders:
            name = next(folders[-1], None)
            if name is None:
                folders.pop()
            elif isinstance(name, Item):
                yield name
            elif self._leads_to_prefix(name):
                found = self._item(name)
                if name.rpartition("/")[2] in _OF_DESKTOPS and found is not None:
                    found = Item(name, ItemState.SKIPPED, "a file that desktops leave in folders")
                if found is None:
                    folders.append(_names(os.path.join(self.folder, name), name + "/", at_once))
                elif name.startswith(self.prefix):
                    yield found

    def has(self, name: str) -> bool:
        """Whether the file `name` is an object."""
        found = self._item(name)
        return found is not None and found.state is ItemState.TODO

    def spelled(self, name: str) -> str:
        """The name of the file at a path, relative to the folder or absolute; of one that is not below it, the path."""
        if not _IS_SPELLED_OTHERWISE(name):
            return name
        path = os.path.normpath(os.path.join(self.folder, name))
        return path[len(self._start) :] if is_inside(path, self.folder) else name

    def find(self, name: str) -> Item:
        """The file at a path, as `spelled` takes it; a failed item if there is none."""
        name = self.spelled(name)
        path = os.path.join(self.folder, name)
        if _IS_SPELLED_OTHERWISE(name):
            return Item(name, ItemState.FAILED, "that path is not below SRC")
        if not os.path.lexists(path):
            return Item(name, ItemState.FAILED, NOT_THERE)
        if not is_inside(os.path.realpath(os.path.dirname(path)) + "/", self.folder):
            return Item(name, ItemState.FAILED, "it is behind a link that leads out of the source folder")
        found = self._item(name)
        if found is None:
            return Item(name, ItemState.FAILED, "it is a folder; name the files in it")
        return found._replace(state=ItemState.FAILED) if found.state is ItemState.SKIPPED else found

    def _leads_to_prefix(self, name: str) -> bool:
        """Whether `name`, or something below it if it is a folder, can start with the prefix."""
        return name.startswith(self.prefix) or self.prefix.startswith(name + "/")

    def _item(self, name: str) -> Item | None:
        """What `name` is; None for a folder."""
        path = f"{self._start}{name}"
        if in_records(name):
            return Item(name, ItemState.SKIPPED, OF_A_JOB)
        if name == PARTIAL:
            return Item(name, ItemState.SKIPPED, "the unfinished results of another job")
        try:
            state = os.lstat(path)
            is_link = stat.S_ISLNK(state.st_mode)
            if is_link:
                path = os.path.realpath(path, strict=True)
                state = os.stat(path)
        except FileNotFoundError:
            return Item(name, ItemState.SKIPPED, "a link that leads nowhere, or a file that has just gone")
        except OSError as error:
            return Item(name, ItemState.FAILED, f"can't be looked at: {error.strerror}")
        if stat.S_ISDIR(state.st_mode):
            return Item(name, ItemState.SKIPPED, "a link to a folder") if is_link else None
        if is_link and not is_inside(path, self.folder):
            return Item(name, ItemState.SKIPPED, "a link that leads out of the source folder")
        if not stat.S_ISREG(state.st_mode):
            return Item(name, ItemState.SKIPPED, _SPECIAL.get(stat.S_IFMT(state.st_mode), "not a regular file"))
        return Item(name, ItemState.TODO, path=path, size=state.st_size, modified=state.st_mtime_ns)


_IS_SPELLED_OTHERWISE = re.compile(r"\A\Z|(?:\A|/)(?:\.{0,2})(?:/|\Z)").search
"""Whether a path is absolute, or has a part that is empty, `.` or `..`: no file's name is such."""

_OF_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")
_SPECIAL = {
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` lies below `folder`; both absolute and free of links."""
    return path.startswith(folder.rstrip("/") + "/")


def _names(folder: str, start: str, at_once: int) -> Iterator[str | Item]:
    """The names in `folder`, each after `start`; one failed item if it can't be listed."""
    try:
        for name in sorted_entries(folder, at_once=at_once):
            yield start + name.removesuffix("/")
    except OSError as error:
        yield Item(start.rstrip("/") or ".", ItemState.FAILED, f"the folder can't be listed: {error.strerror}")
