"""A folder of results: each appears under its name whole, and on the disk, or not at all.

Strategy: a result is written to a file in `PARTIAL`, a folder on the same file system, and a moment later a whole batch
of them is flushed by one `syncfs` and renamed. The flush matters: without it a power cut can leave empty files under
final names, which the next run takes for done. Measured with 20,000 files of 16 KiB, ext4 on a virtual disk, two cores:

    files written and renamed alone     no flush 20,000/s, `syncfs` for each 300 of them 3,000/s, `fdatasync` for each
                                        file 950/s (1,500/s in 16 threads)
    a whole job with two workers        no flush 1,500/s, `syncfs` for each batch, beside the next one, 1,500/s
"""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

from instore.errors import AnswerError, ConfigurationError, NameConflictError
from instore.http.limits import SMALL
from instore.offline.interfaces import NOT_DELIVERED, Item, ResultOrigin, Results
from instore.offline.maker import Maker
from instore.offline.naming import PLAIN_NAMES, Naming
from instore.offline.part import JobPart
from instore.offline.record_files import RecordFiles
from instore.offline.records import MadeResult, Record, RecordState, ResultRecords, check_not_records
from instore.system.files import flush_file_system, lock, open_locked, rename_to_free, write_all
from instore.system.pace import DiskPace
from instore.system.printable import printable
from instore.system.threads import in_thread

PARTIAL = ".instore-partial"
"""The folder at the top of a destination where results are written before they are committed."""

_ORIGIN = "user.instore.origin"
_METADATA = "user.instore.metadata"
_NO_METADATA: Mapping[str, str] = MappingProxyType({})
_NO_ATTRIBUTES = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS)
_HAS_ATTRIBUTES = hasattr(os, "setxattr")  # macOS has other calls for them
_PERMISSIONS = 0o777
_LOCK = "lock"
_SHARE_TRIES, _SHARE_PAUSE = 20, 0.05  # seconds between them
_THREADS = 4
_FOLDER_HAS_NAME = "a folder has that name"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A result that is written, but not committed.

    Attributes:
        path: where it lies.
        size: its bytes.
        record: takes the place of one that its object has; None: it has none.
        results: none that its name doesn't tell.
    """

    path: str
    size: int
    record: Record | None = None
    results: Sequence[MadeResult] = ()


@dataclass(frozen=True, slots=True)
class StoredResults:
    """The results of one object that are written, but not committed; none, if it was skipped.

    Attributes:
        record: what is kept of it.
        size: their bytes.
    """

    record: Record
    size: int = 0

    @property
    def results(self) -> Sequence[MadeResult]:
        """All of them."""
        return self.record.results


AnyStoredFile = StoredFile | StoredResults


class FolderDestination:
    """A folder of results; a `ListedDestination`, which holds the folder's lock. It is made if it is missing.

    What a result was made of is an extended attribute of its file, where the file system has such.

    Args:
        folder: its path, as the user gave it.
        overwrite: a result may take the place of a file. Default False: only a name that is free is taken, whatever
            the file system takes for the same name (upper and lower case, Unicode forms).
        maker: what makes the results; default: that is not kept.
        preserve: results get the time and the permissions of their objects' files.
        part: which part of a job this is: several write into one folder at once. Default: a whole job, which has the
            folder alone.
        naming: what results are called. None: records are neither read nor made.

    Attributes:
        folder: its real path.
        folds_names: see `ListedDestination`.
        remembers: see `RemembersOrigins`.

    Raises:
        ConfigurationError: it is a file; on entering, if another job has the lock or the folder can't be made.
    """

    def __init__(
        self,
        folder: str,
        overwrite: bool = False,
        maker: Maker | None = None,
        preserve: bool = False,
        part: JobPart | None = None,
        naming: Naming | None = PLAIN_NAMES,
    ) -> None:
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise ConfigurationError(f"DST {printable(folder)} is not a folder; name a folder for the results")
        self.folder = os.path.realpath(folder)
        self.folds_names = False
        self.remembers = True
        self._overwrites = overwrite
        self._record_files = RecordFiles(self.folder, part)
        self.records = ResultRecords(
            naming or PLAIN_NAMES, self._record_files.lines if naming is not None else lambda: ()
        )
        self._maker = maker
        self._preserve = preserve
        self._top = self._partial = os.path.join(self.folder, PARTIAL)
        self._part = part
        if part is not None:
            self._partial = os.path.join(self._top, f"part-{part.index}-of-{part.count}")
        self._numbers = itertools.count()
        self._writer = ""
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="results")
        self._pace = DiskPace()
        self._lock = self._shared = -1

    def join(self, writer: str) -> None:
        """Write results of a job that another process has the folder for, and commits; in place of entering it.

        Args:
            writer: what the names of unfinished files begin with; no other process of the job has it.

        Raises:
            ConfigurationError: no job has the folder, as this process sees it.
        """
        if not os.path.exists(os.path.join(self._partial, _LOCK)):
            raise ConfigurationError(
                f"DST {printable(self.folder)} is not the folder that the command writes to; mount it at the same path "
                "on every node, or name a bucket"
            )
        self._writer = f"{writer}-"

    async def __aenter__(self) -> Self:
        try:
            with contextlib.ExitStack() as undo:
                if self._part is not None:
                    self._shared = await self._share()
                    undo.callback(self._leave_parts)
                self._lock = self._open_lock(self._partial)
                undo.callback(_leave, self._partial, self._lock)
                self.folds_names = self._folds_names()
                self.remembers = _keep_origin(self._lock, b"-")
                self.records.folds_names = self.folds_names
                await in_thread(self._pool, self._recover)
                self._clean()  # also what a killed job has left
                undo.pop_all()
        except BlockingIOError as error:
            doing = "is writing" if self._shared < 0 else f"does part {self._part} and writes"
            raise ConfigurationError(
                f"another command {doing} to {printable(self.folder)}; wait for it, or name another DST"
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"can't write to DST {printable(self.folder)}: {error.strerror}; name another DST"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        self._record_files.close()
        self.records.close()
        self._clean()
        _leave(self._partial, self._lock)
        if self._part is not None:
            self._leave_parts()

    def exists(self, name: str) -> bool:
        """Whether there is a file `name`."""
        self._check(name)
        try:
            there = os.stat(self._path(name))
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            raise NameConflictError(getattr(error, "strerror", None) or str(error)) from error
        if stat.S_ISDIR(there.st_mode):
            raise NameConflictError(_FOLDER_HAS_NAME)
        return True

    def has_all(self, names: Sequence[str]) -> bool:
        """Whether all of an object's results are there."""
        return all(os.path.isfile(self._path(name)) for name in names)

    def origin(self, name: str) -> ResultOrigin:
        """What the result `name` was made of."""
        path = self._path(name)
        with contextlib.suppress(ValueError):  # none of ours is there
            return ResultOrigin.parse(_kept_origin(path))
        with contextlib.suppress(FileNotFoundError):  # it has just gone
            return ResultOrigin("", "", -1, os.stat(path).st_mtime_ns)
        return ResultOrigin("", "", -1, 0)

    async def write(self, item: Item, body: AsyncIterator[bytes], _content_type: str) -> StoredFile:
        """Write a result that comes in pieces; a small one, which comes in one, without a thread."""
        if self._overwrites:
            self.records.claim_plain(item.name)
        record = None
        if self.records.of(item.name) is not None:
            record = self.records.record(item.name, RecordState.PLAIN)
        path, size = await self._write(item, body)
        return StoredFile(path, size, record)

    async def write_results(self, item: Item, results: Results) -> StoredResults:
        """Write several results, each into a file of its own."""
        written: list[tuple[str, MadeResult]] = []
        try:
            async for head, body in results:
                name = self.records.claim(item.name, head.name)
                self._check(name)
                path, size = await self._write(item, body, head.metadata)
                written.append((path, MadeResult(name, size)))
        except BaseException:
            for path, _ in written:
                _remove(path)
            self.records.release(item.name)
            raise
        made = [result for _, result in written]
        files = [os.path.relpath(path, self.folder) for path, _ in written]
        return StoredResults(self._recorded(item, made, files=files), sum(result.size for result in made))

    async def skip(self, item: Item, reason: str) -> StoredResults:
        """Note that an object is skipped."""
        return StoredResults(self._recorded(item, reason=reason))

    async def _write(
        self, item: Item, body: AsyncIterator[bytes], metadata: Mapping[str, str] = _NO_METADATA
    ) -> tuple[str, int]:
        path = os.path.join(self._partial, f"{self._writer}{next(self._numbers):x}")
        first = await anext(body, b"")
        second = await anext(body, b"")
        try:
            if not second:
                if len(first) <= SMALL and self._pace.is_quick and not self._writer:
                    return path, self._pace.at_once(self._write_whole, path, first, item, metadata)
                return path, await in_thread(self._pool, self._write_whole, path, first, item, metadata)
            return path, await self._write_pieces(path, (first, second), body, item, metadata)
        except BaseException:  # also when cancelled
            _remove(path)
            raise

    async def commit(self, batch: Sequence[tuple[AnyStoredFile, str]]) -> list[str]:
        """Flush results to the disk and give each the name that stands with it, its folders made."""
        return await in_thread(self._pool, self._commit, batch)

    async def flush(self) -> None:
        """Bring the names on the disk too, once at the end: then the originals may be deleted."""
        await in_thread(self._pool, flush_file_system, self._lock)

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)

    def _write_whole(self, path: str, data: bytes, item: Item, metadata: Mapping[str, str]) -> int:
        file = _create(path)
        try:
            size = write_all(file, data)
            self._describe(file, item, metadata)
        finally:
            os.close(file)
        return size

    async def _write_pieces(
        self, path: str, start: Sequence[bytes], body: AsyncIterator[bytes], item: Item, metadata: Mapping[str, str]
    ) -> int:
        file = _create(path)
        try:
            size = sum([await in_thread(self._pool, write_all, file, piece) for piece in start])
            async for piece in body:
                size += await in_thread(self._pool, write_all, file, piece)
            await in_thread(self._pool, self._describe, file, item, metadata)
        finally:
            await in_thread(self._pool, os.close, file, always=True)
        return size

    def _describe(self, file: int, item: Item, metadata: Mapping[str, str]) -> None:
        """Keep with a result what it was made of, and give it what it is to have of its object's file."""
        if self._maker is not None:
            origin = ResultOrigin(*self._maker, item.size, item.modified, item.tag)
            _keep_origin(file, origin.text.encode())
        if self._preserve:
            os.fchmod(file, os.stat(item.path).st_mode & _PERMISSIONS)
            os.utime(file, ns=(item.modified, item.modified))
        if metadata:
            _keep_metadata(file, metadata)
        if self._writer:  # whoever commits can't flush what this machine has in memory
            os.fsync(file)

    def _recorded(
        self, item: Item, results: Sequence[MadeResult] = (), reason: str = "", files: Sequence[str] = ()
    ) -> Record:
        """A record of what is being made of an object."""
        code, arguments = self._maker or ("", "")
        record = self.records.record(item.name, RecordState.BEGUN, results)._replace(
            reason=reason, files=files, code=code, arguments=arguments, size=item.size, modified=item.modified
        )
        is_ours = self._overwrites and item.result and not self.records.owner(item.result)
        if is_ours and _kept_origin(self._path(item.result)):  # the one result that it had before
            return record._replace(old=[*record.old, item.result])
        return record

    def _commit(self, batch: Sequence[tuple[AnyStoredFile, str]]) -> list[str]:
        try:
            flush_file_system(self._lock)
        except OSError as error:
            return [f"its result could not be flushed to the disk: {error.strerror}"] * len(batch)
        begun = [stored.record for stored, _ in batch if isinstance(stored, StoredResults) and stored.record.files]
        unkept = self._keep(begun)
        settled: list[Record] = []
        errors = [self._name(stored, name, unkept, settled) for stored, name in batch]
        unkept = self._keep(settled)
        return [error or self._unrecorded(stored, unkept) for error, (stored, _) in zip(errors, batch, strict=True)]

    def _keep(self, records: Sequence[Record]) -> str:
        """Keep records; why that could not be done."""
        if not records:
            return ""
        try:
            self._record_files.append(records)
        except OSError as error:
            return f"what became of it could not be recorded: {error.strerror}"
        for record in records:
            if not record.files:
                self.records.settle(record)
        return ""

    def _unrecorded(self, stored: AnyStoredFile, unkept: str) -> str:
        """Why an object is not done whose record was not kept; one that has begun by its record is found done by it."""
        return unkept if isinstance(stored, StoredResults) and not stored.record.files else ""

    def _name(self, stored: AnyStoredFile, name: str, unkept: str, settled: list[Record]) -> str:
        if isinstance(stored, StoredResults):
            return self._finish(stored.record, unkept, settled)
        final = self._path(name)
        try:
            self._move(stored.path, final, stored.record is not None and name in stored.record.old)
        except OSError as error:
            _remove(stored.path)
            return f"its result can't be called {printable(name)}: {self._why(error, name)}"
        if stored.record is not None:
            self._remove_results(stale for stale in stored.record.stale if stale != name)
            settled.append(stored.record._replace(old=()))
        return ""

    def _finish(self, record: Record, unkept: str, settled: list[Record]) -> str:
        """Commit an object's results, or those of them that a kill has left; why that could not be done."""
        error = unkept if record.files else ""
        moved = []
        for file, result in zip(record.files, record.results, strict=True):
            if error:
                break
            path, final = self._path(file), self._path(result.name)
            try:
                if os.path.lexists(path) or not os.path.isfile(final):
                    self._move(path, final, result.name in record.old)
                moved.append(result.name)
            except OSError as reason:
                error = f"its result can't be called {printable(result.name)}: {self._why(reason, result.name)}"
        if error:
            self._remove_results([*record.files, *moved])
            state = RecordState.BEGUN if record.old else RecordState.PLAIN  # it is still known which were its own
            settled.append(record._replace(state=state, results=(), files=()))
            return error
        self._remove_results(record.stale)
        state = RecordState.SKIPPED if record.reason else RecordState.DONE
        settled.append(record._replace(state=state, files=(), old=()))
        return ""

    def _recover(self) -> None:
        """Finish what a kill has kept from being finished."""
        own = os.path.relpath(self._partial, self.folder) + "/"
        settled: list[Record] = []
        for record in self.records.begun():
            if record.files and all(file.startswith(own) for file in record.files):
                self._finish(record, "", settled)
        if settled:
            flush_file_system(self._lock)
            self._record_files.append(settled)
            for record in settled:
                self.records.settle(record)
        self._record_files.shrink(self.records)

    def _remove_results(self, names: Iterable[str]) -> None:
        """Remove results, and the folders that were only for them."""
        for name in names:
            with contextlib.suppress(OSError):  # it has gone, or a folder is not empty
                os.unlink(self._path(name))
                while name := os.path.dirname(name):
                    os.rmdir(self._path(name))

    def _check(self, name: str) -> None:
        if name.startswith(PARTIAL + "/"):
            raise NameConflictError("that folder is in use")
        check_not_records(name)

    def _why(self, error: OSError, name: str) -> str:
        """Why a result can't have a name; the object that has it, if it is known."""
        path = self._path(name)
        if os.path.isdir(path):
            return _FOLDER_HAS_NAME
        if not isinstance(error, FileExistsError):
            return error.strerror or str(error)
        if owner := self.records.owner(name):
            return f"that is the name of a result of {printable(owner)}"
        return "a file has that name, or one that is the same to this file system; --overwrite replaces it"

    def _move(self, path: str, final: str, replaces: bool = False) -> None:
        """Give a file its final name, its folders made."""
        rename = os.rename if self._overwrites or replaces else rename_to_free
        try:
            rename(path, final)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            rename(path, final)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _folds_names(self) -> bool:
        names = (_LOCK.upper(), "\xe9", "e\u0301")
        folder = os.path.relpath(self._partial, self.folder)
        upper, composed, decomposed = (self._path(os.path.join(folder, name)) for name in names)
        with contextlib.suppress(OSError, ValueError):  # a name that can't be made is no other's
            os.close(_create(composed))
        try:
            return os.path.exists(upper) or os.path.exists(decomposed)
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.unlink(composed)

    async def _share(self) -> int:
        """Take the lock that parts share. One that ends has it alone for a moment, and so is waited for."""
        for _ in range(_SHARE_TRIES):
            with contextlib.suppress(BlockingIOError):
                return self._open_lock(self._top, is_shared=True)
            await asyncio.sleep(_SHARE_PAUSE)
        return self._open_lock(self._top, is_shared=True)

    def _leave_parts(self) -> None:
        """Let go of the lock that parts share; the last part removes it."""
        try:
            is_last = lock(self._shared, os.path.join(self._top, _LOCK))
        except BlockingIOError:
            is_last = False
        if is_last:
            _leave(self._top, self._shared)
        else:
            os.close(self._shared)

    def _open_lock(self, folder: str, is_shared: bool = False) -> int:
        while True:
            os.makedirs(folder, exist_ok=True)
            try:
                return open_locked(os.path.join(folder, _LOCK), is_shared=is_shared)
            except FileNotFoundError:  # its last holder has just removed the folder
                continue

    def _clean(self) -> None:
        for entry in os.scandir(self._partial):
            if entry.is_dir():  # of a part that was killed
                shutil.rmtree(entry.path)
            elif entry.name != _LOCK:
                os.unlink(entry.path)


def _leave(folder: str, held: int) -> None:
    """Remove a lock that is held, and its folder."""
    os.unlink(os.path.join(folder, _LOCK))
    os.close(held)
    with contextlib.suppress(OSError):  # the next command has just moved in
        os.rmdir(folder)


def _kept_origin(path: str) -> str:
    """The text that is kept with a file; empty if there is none, or can be none."""
    if _HAS_ATTRIBUTES:
        with contextlib.suppress(OSError):
            return os.getxattr(path, _ORIGIN).decode("ascii", "replace")
    return ""


def _keep_origin(file: int, text: bytes) -> bool:
    """Keep a text with a file; whether its file system does."""
    if not _HAS_ATTRIBUTES:
        return False
    try:
        os.setxattr(file, _ORIGIN, text)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        return False
    return True


def _keep_metadata(file: int, metadata: Mapping[str, str]) -> None:
    """Keep a result's metadata with its file."""
    text = json.dumps(dict(metadata)).encode()
    try:
        os.setxattr(file, _METADATA, text)
    except OSError as error:
        raise OSError(error.errno, f"the file system of DST can't keep its metadata: {error.strerror}") from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
