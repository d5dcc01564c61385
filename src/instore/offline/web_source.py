"""A folder of a web server as a source: its files go to the workers as requests' bodies."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from instore.errors import ConfigurationError, InvalidRequestError, RemoteStoreError
from instore.etl.communicator import TransformRequest
from instore.offline.interfaces import NOT_THERE, Item, ItemState
from instore.offline.remote_bucket import configuring
from instore.offline.web_folder import WebFile, WebFolder, WebObject
from instore.store.names import check_object_name
from instore.system.printable import printable

_AT_ONCE = 64  # files that are looked at before the first of them is told


class WebSource:
    """A web server's files below a URL; a `ListedSource`.

    Args:
        url: of a folder whose page lists its files, or of a single file.
        prefix: only objects whose name starts with it.
        is_listed: its pages say what there is; if not, objects are only asked for by name.

    Raises:
        ConfigurationError: there is nothing at that URL, or it can't be reached.
    """

    file_root = ""

    def __init__(self, url: str, prefix: str = "", is_listed: bool = True) -> None:
        self.folder = WebFolder(url)
        self.prefix = prefix
        self._only = ""  # the name of the file that the URL stands for
        if not is_listed:
            self.folder.url = self.folder.url.rstrip("/") + "/"
            return
        with configuring():
            try:
                self._only = self.folder.enter()
                if not self._only:
                    self.folder.entries("")
            except RemoteStoreError as error:
                raise ConfigurationError(
                    f"SRC {printable(url)}: {error}; name a folder whose page lists its files, or the files with "
                    "--files-from or --template"
                ) from error

    def path(self, item: Item) -> str:
        """`<folder's name>/<object>`."""
        return f"{self.folder.name}/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """With its bytes, fetched as they are sent; the result is the answer."""
        body = functools.partial(WebObject, self.folder, item.name)
        return TransformRequest(self.path(item), etl_args=etl_args, body=body)

    def list(self) -> Iterator[Item]:
        """Every file that a page lists, and whose name starts with the prefix; pages of folders are followed."""
        if self._only:
            return self.find_all([self._only] if self._only.startswith(self.prefix) else [])
        return self._judged(self._names())

    def has(self, name: str) -> bool:
        """Whether there is a file `name`."""
        return self.find(name).state is ItemState.TODO

    def find(self, name: str) -> Item:
        """The file `name`; a failed item if there is none."""
        return next(self.find_all([name]))

    def find_all(self, names: Iterable[str]) -> Iterator[Item]:
        """The files with these names, in their order, each of which may be a failed item."""
        return self._judged(Item(name, ItemState.TODO) for name in names)

    def _names(self) -> Iterator[Item]:
        """What the pages list, in order."""
        folders = [iter(self.folder.entries(""))]
        paths = [""]
        while folders:
            entry = next(folders[-1], None)
            if entry is None:
                folders.pop()
                paths.pop()
                continue
            name = paths[-1] + entry
            if not entry.endswith("/"):
                if name.startswith(self.prefix):
                    yield Item(name, ItemState.TODO)
            elif name.startswith(self.prefix) or self.prefix.startswith(name):
                entries, failed = self._entries(name)
                folders.append(iter(entries))
                paths.append(name)
                if failed is not None:
                    yield failed

    def _entries(self, folder: str) -> tuple[Sequence[str], Item | None]:
        """What is in a folder, or what is said of it: one that can't be read is one failure."""
        failed = _checked(Item(folder.removesuffix("/"), ItemState.TODO))
        if failed.state is ItemState.FAILED:
            return [], failed
        try:
            return self.folder.entries(folder), None
        except RemoteStoreError as error:
            if error.is_away:
                raise
            return [], Item(folder, ItemState.FAILED, str(error))

    def _judged(self, items: Iterator[Item]) -> Iterator[Item]:
        """Each with what is known of its file."""
        while batch := list(islice(items, _AT_ONCE)):
            checked = [_checked(item) if item.state is ItemState.TODO else item for item in batch]
            names = [item.name for item in checked if item.state is ItemState.TODO]
            files = dict(zip(names, self.folder.look_at_all(names), strict=True))
            for item in checked:
                yield _described(item, files[item.name]) if item.name in files else item


def _checked(item: Item) -> Item:
    try:
        check_object_name(item.name)
    except InvalidRequestError as error:
        return item._replace(state=ItemState.FAILED, reason=str(error))
    return item


def _described(item: Item, file: WebFile | RemoteStoreError | None) -> Item:
    if isinstance(file, RemoteStoreError):
        return item._replace(state=ItemState.FAILED, reason=str(file))
    if file is None:
        return item._replace(state=ItemState.FAILED, reason=NOT_THERE)
    return item._replace(size=max(0, file.size), modified=file.modified, tag=file.tag)
