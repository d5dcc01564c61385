"""A bucket of a store elsewhere as a source: its objects go to the workers as requests' bodies."""

import functools
from collections.abc import Iterator

from instore.errors import ConfigurationError
from instore.etl.communicator import TransformRequest
from instore.http.limits import SMALL
from instore.offline.interfaces import Item
from instore.offline.lookup import Lookup
from instore.offline.remote_bucket import RemoteBucket, configuring
from instore.system.printable import printable


class BucketSource:
    """A bucket's objects; a `ListedSource`. The prefix in its URL selects objects, and stays in their names."""

    file_root = ""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.bucket = RemoteBucket(url)
        self.prefix = self.bucket.prefix + prefix
        with configuring():
            if not self.bucket.exists():
                raise ConfigurationError(
                    f"SRC {printable(url)}: {self.bucket.where} has no bucket {self.bucket}; name one that is there"
                )
        self._lookup = Lookup(self.bucket, self.prefix)

    def path(self, item: Item) -> str:
        """`<bucket>/<object>`."""
        return f"{self.bucket.name}/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """With its bytes, fetched as they are sent; the result is the answer."""
        return TransformRequest(
            self.path(item),
            etl_args=etl_args,
            body=functools.partial(self.bucket.open, item.name),
            takes_results=True,
            is_small=0 <= item.size <= SMALL,
        )

    def list(self) -> Iterator[Item]:
        """Every object whose name starts with the prefix."""
        return (one.item() for one in self.bucket.names(self.prefix))

    def has(self, name: str) -> bool:
        """Whether there is an object `name`."""
        return name in self._lookup

    def find(self, name: str) -> Item:
        """The object `name`; a failed item if there is none."""
        return self._lookup.find(name)
