"""One target's objects in its folder, in AIStore's layout: `<folder>/@ais/<bucket>/%ob/<object>`.

Strategy: an object is written to a file in the bucket's `%wk` folder, gets its attributes there, and then its name by
one rename: readers see the old object or the new one, each whole and with its own attributes, and whoever has opened
it keeps what was opened. Everything here blocks; who calls sees to it that nobody waits for that. Nothing is flushed to
the disk: what was acknowledged survives the death of the process, not that of the machine. (A flush for each object
costs twenty times the put; `results` has the figures.)

A bucket goes by one rename too, to the target's trash, so that none is ever seen half deleted.
"""

import contextlib
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from instore.errors import (
    BucketNotFoundError,
    ConfigurationError,
    InstoreError,
    NameConflictError,
    ObjectNotFoundError,
)
from instore.store import attributes
from instore.store.attributes import Attributes
from instore.store.folders import empty, is_old, remove_empty
from instore.store.names import Bucket, check_object_name
from instore.store.stored import Entry, OpenObject
from instore.store.walk import sizes, walk
from instore.store.writing import Part, Upload
from instore.system.files import disk_error

_CONTENT = "%ob"
_WORK = "%wk"
_TRASH = "trash"
_PUT = "put."
_LOCKS = 256


class Store:
    """The objects of one target. Its methods block, and any thread may call them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._trash = os.path.join(folder, _TRASH)
        self._emptying = threading.Lock()
        self._numbers = itertools.count()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        try:
            os.makedirs(self._trash, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"can't make {folder}: {error.strerror}; name another with --dir") from error
        attributes.check_support(folder)

    # Buckets

    def create_bucket(self, bucket: Bucket) -> None:
        """Make an empty bucket. What lies there, left by a process that died, goes."""
        with self.failing(f"making {bucket}"):
            self.drop_bucket(bucket)
            self.open_bucket(bucket)

    def open_bucket(self, bucket: Bucket) -> None:
        """Make the folders of a bucket that are missing; drop puts that a process left when it died, and old work."""
        with self.failing(f"opening {bucket}"):
            os.makedirs(os.path.join(self.folder, bucket.folder, _CONTENT), exist_ok=True)
            work = self.work_folder(bucket)
            os.makedirs(work, exist_ok=True)
            for name in os.listdir(work):
                path = os.path.join(work, name)
                if os.path.isdir(path) and is_old(path):
                    shutil.rmtree(path)
                elif name.startswith(_PUT) or (not os.path.isdir(path) and is_old(path)):
                    os.unlink(path)

    def drop_bucket(self, bucket: Bucket) -> None:
        """Remove a bucket with all that is in it, at once for all who look. `empty_trash` frees the space."""
        with self.failing(f"destroying {bucket}"), contextlib.suppress(FileNotFoundError):
            gone = os.path.join(self._trash, f"{os.getpid()}.{next(self._numbers)}")
            while os.path.lexists(gone):  # the trash of an earlier process with this number
                gone = os.path.join(self._trash, f"{os.getpid()}.{next(self._numbers)}")
            os.rename(os.path.join(self.folder, bucket.folder), gone)

    def empty_trash(self, stopping: threading.Event | None = None) -> None:
        """Delete the files of buckets that have been dropped, until there are none left or `stopping` is set."""
        with self._emptying, self.failing(f"emptying {self._trash}"):
            empty(self._trash, stopping or threading.Event())

    def check_bucket(self, bucket: Bucket) -> None:
        """Make sure that a bucket is there."""
        if not os.path.isdir(os.path.join(self.folder, bucket.folder, _CONTENT)):
            raise BucketNotFoundError(bucket)

    def work_folder(self, bucket: Bucket) -> str:
        """Where objects in the making lie; on the same file system as the objects."""
        return os.path.join(self.folder, bucket.folder, _WORK)

    # Objects

    def path(self, bucket: Bucket, name: str) -> str:
        """The path of an object's file, whether there is one or not."""
        check_object_name(name)
        return self._path(bucket, name)

    def head(self, bucket: Bucket, name: str) -> Entry:
        """What is known of an object."""
        with self.open(bucket, name) as opened:
            return opened.entry

    def open(self, bucket: Bucket, name: str) -> OpenObject:
        """Open an object for reading. Raises as `head` does."""
        path = self.path(bucket, name)
        with self.failing(f"opening {bucket.object(name)}"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing(bucket, name) from None
            try:
                return OpenObject(descriptor, self._entry(bucket, name, descriptor))
            except BaseException:
                os.close(descriptor)
                raise

    def put(
        self,
        bucket: Bucket,
        name: str,
        pieces: Iterable[bytes | bytearray | memoryview],
        custom: Mapping[str, str] | None = None,
    ) -> Entry:
        """Store an object that is at hand, in place of any of that name: whole, or not at all."""
        with self.upload(bucket, name) as upload:
            for piece in pieces:
                upload.write(piece)
            return upload.commit(custom)

    def upload(self, bucket: Bucket, name: str, custom: Mapping[str, str] | None = None) -> Upload:
        """Begin an object that arrives in pieces. Raises as `put` does."""
        check_object_name(name)
        return Upload(self, bucket, name, custom or {}, *self._begin(bucket, f"storing {bucket.object(name)}"))

    def part(self, bucket: Bucket, what: str, destination: str) -> Part:
        """Begin a file that is to lie at `destination`, a path in the bucket's work folder. Raises as `put` does."""
        return Part(self, what, *self._begin(bucket, f"storing {what}"), destination)

    def delete(self, bucket: Bucket, name: str) -> None:
        """Remove an object, and the folders that were only for it. Raises as `head` does."""
        path = self.path(bucket, name)
        with self.failing(f"deleting {bucket.object(name)}"), self.lock(bucket, name):
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise self._missing(bucket, name) from None
        parent = name
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            try:
                os.rmdir(self.path(bucket, parent))
            except OSError:  # it is not empty
                return

    def set_custom(self, bucket: Bucket, name: str, custom: Mapping[str, str], replace_all: bool = False) -> Entry:
        """Set custom properties; raises as `head` and `put` do."""
        with (
            self.lock(bucket, name),
            self.open(bucket, name) as opened,
            self.failing(f"changing {bucket.object(name)}"),
        ):
            old = opened.entry.attributes
            changed = old._replace(custom=dict(custom) if replace_all else {**old.custom, **custom})
            attributes.write(opened.descriptor, changed)
            return opened.entry._replace(attributes=changed)

    def copy(self, bucket: Bucket, name: str, to: "Store", to_bucket: Bucket, to_name: str) -> Entry:
        """Copy an object, its custom properties too; raises as `head` and `put` do."""
        with self.open(bucket, name) as opened, to.upload(to_bucket, to_name) as upload:
            upload.fill(opened.descriptor)
            return upload.commit(opened.entry.attributes.custom)

    def move(self, bucket: Bucket, name: str, to: "Store", to_bucket: Bucket) -> None:
        """Give an object another bucket, on the same file system; one of that name that is there already stays.

        Raises as `head` and `put` do; the object is where it was then.
        """
        with self.failing(f"moving {bucket.object(name)}"), to.lock(to_bucket, name):
            path = self.path(bucket, name)
            if os.path.isfile(to.path(to_bucket, name)):  # put meanwhile, so it is the newer one
                os.unlink(path)
            else:
                to._place(path, to_bucket, name)

    def rename(self, bucket: Bucket, name: str, to: "Store", to_name: str) -> None:
        """Give an object another name in its bucket, in place of any that has it; raises as `head` and `put` do."""
        path = self.path(bucket, name)
        check_object_name(to_name)
        with self.failing(f"renaming {bucket.object(name)}"):
            if not os.path.isfile(path):
                raise self._missing(bucket, name)
            with to.lock(bucket, to_name):
                to._place(path, bucket, to_name)

    def walk(self, bucket: Bucket, prefix: str = "", after: str = "", recurse: bool = True) -> Iterator[str]:
        """The names of the bucket's objects in lexicographic order, in bounded memory."""
        root = os.path.join(self.folder, bucket.folder, _CONTENT)
        with self.failing(f"listing {bucket}"):
            try:
                yield from walk(root, self.work_folder(bucket), prefix, after, recurse)
            except FileNotFoundError:
                raise BucketNotFoundError(bucket) from None

    def sizes(self, bucket: Bucket, prefix: str = "") -> Iterator[tuple[int, int]]:
        """Bytes of each of the bucket's objects, and bytes that it takes on the disk; raises as `walk` does."""
        with self.failing(f"measuring {bucket}"):
            try:
                yield from sizes(os.path.join(self.folder, bucket.folder, _CONTENT), prefix)
            except FileNotFoundError:
                raise BucketNotFoundError(bucket) from None

    def list(self, bucket: Bucket, prefix: str = "", after: str = "", limit: int = 1000) -> list[Entry]:
        """A page of the bucket's objects; what goes meanwhile is left out. Raises as `walk` does."""
        entries: list[Entry] = []
        for name in self.walk(bucket, prefix, after):
            with contextlib.suppress(ObjectNotFoundError):
                entries.append(self.stat(bucket, name))
            if len(entries) == limit:
                break
        return entries

    def stat(self, bucket: Bucket, name: str, with_attributes: bool = True) -> Entry:
        """What `head` gives, for a name that came from `walk`: a little cheaper, and no more than a look.

        Size and attributes may be those of two objects if a put comes between. Without attributes it is cheaper still.
        """
        return self.looking(bucket, with_attributes)(name)

    def looking(self, bucket: Bucket, with_attributes: bool = True) -> Callable[[str], Entry]:
        """`stat` for many names of a bucket: what is the same for all of them is done once."""
        folder, nothing = self._path(bucket, ""), Attributes()

        def look(name: str) -> Entry:
            path = folder + name
            try:
                status = os.stat(path, follow_symlinks=False)
                found = attributes.read(path) if with_attributes else nothing
                return Entry(name, status.st_size, _atime(status), status.st_mtime_ns, found)
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing(bucket, name) from None
            except OSError as error:
                raise self._error(f"looking at {bucket.object(name)}", error) from error

        return look

    # For what is written

    def adopt(
        self, path: str, descriptor: int, bucket: Bucket, name: str, checksum: str, custom: Mapping[str, str]
    ) -> Entry:
        """Make the file at `path` the object `name`; raises as `put` does."""
        with self.failing(f"storing {bucket.object(name)}"), self.lock(bucket, name):
            made = Attributes(checksum, _version(self._path(bucket, name)) + 1, dict(custom))
            attributes.write(descriptor, made)
            status = os.fstat(descriptor)
            self._place(path, bucket, name)
        return Entry(name, status.st_size, _atime(status), status.st_mtime_ns, made)

    def lock(self, bucket: Bucket, name: str) -> threading.Lock:
        """What orders the changes of one name."""
        return self._locks[hash((bucket, name)) % _LOCKS]

    def _place(self, path: str, bucket: Bucket, name: str) -> None:
        """Give the file at `path` an object's name. The name's lock is held."""
        destination = self._path(bucket, name)
        for attempt in itertools.count():
            try:
                os.rename(path, destination)
            except FileNotFoundError:
                if attempt == _LOCKS:  # as many deletions in a row can't have come between
                    raise
                self._make_parents(bucket, name)
            except NotADirectoryError:
                raise self._conflict(bucket, name) from None
            except IsADirectoryError:
                if not remove_empty(destination):
                    raise self._conflict(bucket, name) from None
            else:
                return

    @contextlib.contextmanager
    def failing(self, doing: str) -> Iterator[None]:
        """Turn what the disk says into our errors."""
        try:
            yield
        except InstoreError:
            raise
        except OSError as error:
            raise self._error(doing, error) from error

    def _error(self, doing: str, error: OSError) -> InstoreError:
        return disk_error(f"{doing} failed", error, self.folder)

    def _path(self, bucket: Bucket, name: str) -> str:
        return f"{self.folder}/{bucket.folder}/{_CONTENT}/{name}"

    def _begin(self, bucket: Bucket, doing: str) -> tuple[str, int]:
        path = f"{self.work_folder(bucket)}/{_PUT}{next(self._numbers)}"
        with self.failing(doing):
            try:
                return path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                raise BucketNotFoundError(bucket) from None

    def _make_parents(self, bucket: Bucket, name: str) -> None:
        self.check_bucket(bucket)
        made = os.path.join(self.folder, bucket.folder, _CONTENT)
        for segment in name.split("/")[:-1]:
            made = f"{made}/{segment}"
            try:
                os.mkdir(made)
            except FileExistsError:
                continue
            except FileNotFoundError:
                return  # one was removed meanwhile: the caller tries again
            except NotADirectoryError:
                raise self._conflict(bucket, name) from None

    def _entry(self, bucket: Bucket, name: str, descriptor: int) -> Entry:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise self._missing(bucket, name)
        return Entry(name, status.st_size, _atime(status), status.st_mtime_ns, attributes.read(descriptor))

    def _missing(self, bucket: Bucket, name: str) -> InstoreError:
        if not os.path.isdir(os.path.join(self.folder, bucket.folder, _CONTENT)):
            return BucketNotFoundError(bucket)
        return ObjectNotFoundError(f"object {bucket.object(name)} does not exist")

    def _conflict(self, bucket: Bucket, name: str) -> NameConflictError:
        return NameConflictError(
            f"can't store {bucket.object(name)}: the destination contains an object in its path, or is a folder of "
            "other objects, and objects are files here; choose another name"
        )


def _version(path: str) -> int:
    try:
        return attributes.read(path).version
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _atime(status: os.stat_result) -> int:
    return max(status.st_atime_ns, status.st_mtime_ns)
