"""A bucket of a cloud as a source: its objects go to the workers as requests' bodies."""

import functools
from collections.abc import Iterator, Mapping

from instore.errors import ConfigurationError, InvalidRequestError
from instore.etl.communicator import TransformRequest
from instore.http.limits import SMALL
from instore.offline.cloud_store import NO_OPTIONS, CloudOptions, CloudStore, CloudVersion, check_cloud_name
from instore.offline.interfaces import Item, ItemState
from instore.offline.lookup import ListedObject, Lookup
from instore.offline.remote_bucket import configuring
from instore.system.printable import printable


class CloudSource:
    """A bucket's objects; a `ListedSource`. The prefix in its URL selects objects, and stays in their names.

    Raises:
        ConfigurationError: there is no such bucket, or it can't be listed.
    """

    file_root = ""

    def __init__(self, url: str, prefix: str = "", options: CloudOptions = NO_OPTIONS) -> None:
        self.bucket = CloudStore(url, options.endpoint, options.anonymous)
        self.prefix = self.bucket.prefix + prefix
        try:
            check_cloud_name(self.prefix + "x")
        except InvalidRequestError as error:
            raise ConfigurationError(
                f"SRC {printable(url)}: no name that starts with {self.prefix!r} can be asked for; name another prefix"
            ) from error
        with configuring():
            if not self.bucket.exists():
                raise ConfigurationError(f"SRC {printable(url)}: there is no bucket {self.bucket}; name one that is")
        self._lookup = Lookup(self.bucket, self.prefix)

    def path(self, item: Item) -> str:
        """`<bucket>/<object>`."""
        return f"{self.bucket.name}/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """With its bytes, fetched as they are sent; the result is the answer."""
        return TransformRequest(
            self.path(item),
            etl_args=etl_args,
            body=functools.partial(CloudObject, self.bucket, item.name, item.size),
            takes_results=True,
            is_small=0 <= item.size <= SMALL,
        )

    def list(self) -> Iterator[Item]:
        """Every object whose name starts with the prefix."""
        for name, size, is_marker, modified, tag in self.bucket.entries(self.prefix):
            if is_marker:
                yield Item(name, ItemState.SKIPPED, "it stands for a folder, and is no object")
            else:
                yield ListedObject(name, size, modified, tag).item(check_cloud_name)

    def has(self, name: str) -> bool:
        """Whether there is an object `name`."""
        return name in self._lookup

    def find(self, name: str) -> Item:
        """The object `name`; a failed item if there is none."""
        return self._lookup.find(name)


class CloudObject:
    """An object's bytes, as a request's body, fetched a piece at a time: all of one version, or an error.

    Args:
        bucket: where it is.
        name: its name.
        size: as it was listed.

    Attributes:
        info: what a transform may ask of it, once its first piece has come.
    """

    def __init__(self, bucket: CloudStore, name: str, size: int) -> None:
        self.drained = False
        self.info: Mapping[str, object] = {}
        self._bucket = bucket
        self._name = name
        self._size = size
        self._version: CloudVersion | None = None
        self._came = 0

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        if self.drained:
            return b""
        piece, version = await self._bucket.read(self._name, self._came, self._size, self._version)
        self.info = version.info
        self._came += len(piece)
        self._version, self._size = version, version.size
        self.drained = self._came == self._size
        return piece
