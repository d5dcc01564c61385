"""Several folders and files as one source: each goes by its own name, so that `a b` has the objects `a/x` and `b/x`."""

import os
from collections.abc import Iterator, Sequence

from instore.errors import ConfigurationError
from instore.etl.communicator import TransformRequest
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import NOT_THERE, Item, ItemState
from instore.system.printable import printable


class SeveralFolders:
    """Folders' files, and files of any folders; a `ListedSource`.

    Args:
        paths: of the folders and files, as the user gave them.
        prefix: only objects whose name starts with it.

    Attributes:
        folders: the real paths of the folders.
        files: those of the files.

    Raises:
        ConfigurationError: one is neither, or two have the same name.
    """

    def __init__(self, paths: Sequence[str], prefix: str = "") -> None:
        self.prefix = prefix
        self._places: dict[str, tuple[FolderSource, str]] = {}  # a folder, or that of a file with the file's name
        given: dict[str, str] = {}
        for path in dict.fromkeys(map(os.path.abspath, paths)):
            name = os.path.basename(path) or "root"
            if name in given:
                raise ConfigurationError(
                    f"SRC {printable(given[name])} and {printable(path)} would both be called {printable(name)}; "
                    "give a folder above both with --include or --files-from, or run the command for each"
                )
            given[name] = path
            is_file = os.path.isfile(path)
            self._places[name] = (FolderSource(os.path.dirname(path) if is_file else path), name if is_file else "")
        self.folders = [source.folder for source, file in self._places.values() if not file]
        self.files = [os.path.join(source.folder, file) for source, file in self._places.values() if file]
        self.file_root = os.path.commonpath([source.folder for source, _ in self._places.values()])

    def path(self, item: Item) -> str:
        """The object's name, which begins with that of its folder."""
        return item.name

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """By the path of its file; the result is the answer."""
        return TransformRequest(self.path(item), item.path, etl_args)

    def list(self) -> Iterator[Item]:
        """Everything in the folders, and the files."""
        for name, (source, file) in sorted(self._places.items()):
            for item in [source.find(file)] if file else source.list():
                named = item if file else item._replace(name=f"{name}/{item.name}")
                if named.name.startswith(self.prefix):
                    yield named

    def has(self, name: str) -> bool:
        """Whether there is an object `name`."""
        return self.find(name).state is ItemState.TODO

    def spelled(self, name: str) -> str:
        """The object's name, by its folder's own rule."""
        place, slash, rest = name.partition("/")
        source, file = self._places.get(place, (None, ""))
        return name if source is None or file or not slash else f"{place}/{source.spelled(rest)}"

    def find(self, name: str) -> Item:
        """The object `name`, which begins with its folder's; a failed item if there is none."""
        place, slash, rest = name.partition("/")
        source, file = self._places.get(place, (None, ""))
        if source is None or bool(file) == bool(slash):
            return Item(name, ItemState.FAILED, NOT_THERE)
        item = source.find(file or rest)
        return item if file else item._replace(name=f"{place}/{item.name}")
