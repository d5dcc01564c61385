"""`--members`: the user's transform for each member of a shard, as if it were an object; the result is such a shard.

A member's result is known whole before it is written, for its size stands before it: a buffered transform's lies in
memory, a streaming one's in a temporary file once it is large. A member that fails is named `shard!member`.
"""

import contextlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol

from instore.errors import InstoreError, ShardError, Skip, TransformError
from instore.protocol.environment import DROP, FAIL, INSTORE_MEMBERS, KEEP, Environment
from instore.protocol.names import escape_path
from instore.protocol.responses import split_frames
from instore.server.contract import Shape, Transform
from instore.server.readers import ForwardReader, ObjectReader, Readable
from instore.server.user_results import Result
from instore.shards.member import BUFFER, Member
from instore.shards.reader import ShardReader
from instore.shards.writer import shard_writer
from instore.system.files import temporary, write_all
from instore.system.globs import compiled

logger = logging.getLogger("instore")

_IN_MEMORY = 4 << 20  # bytes of a streamed result, or of a member that may be needed again


class UserCode(Protocol):
    """The user's transform, synchronous or not, and what its errors mean."""

    def whole(self, data: bytes | str, path: str, etl_args: str) -> bytes | Result: ...

    def several(self, data: bytes | str, path: str, etl_args: str) -> Iterator[Result]: ...

    def data_of(self, result: Result) -> bytes: ...

    def pieces(self, reader: Readable, path: str, etl_args: str) -> Iterator[bytes]: ...

    def failure(self, error: BaseException, name: str) -> InstoreError: ...

    def named(self, name: str) -> contextlib.AbstractContextManager[None]: ...


class Members:
    """Makes shards of shards.

    Args:
        settings: with the pattern for the members that are transformed; the others are copied.
        transform: the user's.

    Raises:
        ConfigurationError: the pattern is none.
    """

    def __init__(self, settings: Environment, transform: Transform) -> None:
        self.on_error = settings.members_on_error
        self.shape = transform.shape
        self._wants_raw_path = transform.wants_raw_path
        self._settings = settings
        self._matches = compiled(INSTORE_MEMBERS, [settings.members])

    def pieces(self, code: UserCode, name: str, reader: ObjectReader, path: str, etl_args: str) -> Iterator[bytes]:
        """The shard that is made of a shard.

        Args:
            code: the user's.
            name: the shard's.
            reader: its bytes.
            path: as the user's code gets a path; a member's is `path/member`.
            etl_args: as the user's code gets them.
        """
        made = _TransformedShard(self, code, name, reader, path, etl_args)
        yield from made.pieces()
        made.log(self._settings)

    def path(self, shard: str, member: Member) -> str:
        """A member's path, as the user's code gets one."""
        return f"{shard}/{escape_path(member.name) if self._wants_raw_path else member.name}"

    def matches(self, member: Member) -> bool:
        """Whether it is transformed."""
        return member.is_file and self._matches(member.name.removeprefix("./"))


class _TransformedShard:
    """One shard in the making."""

    def __init__(
        self, members: Members, code: UserCode, name: str, reader: ObjectReader, path: str, etl_args: str
    ) -> None:
        self._members = members
        self._code = code
        self._name = name
        self._reader = reader
        self._path = path
        self._etl_args = etl_args
        self._shard = ShardReader(reader)
        self._writer = shard_writer(self._shard.kind)
        self._transformed = self._copied = self._skipped = 0
        self._names = set[int]()  # hashes of the names of all members that there are by now,
        self._given = set[int]()  # and of those that the user's code has given
        self._failed: list[tuple[str, str]] = []

    def pieces(self) -> Iterator[bytes]:
        with contextlib.closing(self._shard):
            for member in self._shard:
                if self._members.matches(member):
                    yield from self._member(member)
                else:
                    self._copied += 1
                    self._take([member.name])
                    yield from self._writer.copy(member)
            if self._skipped and not self._names:
                raise Skip("all of its members were skipped")
            yield self._writer.end()

    def log(self, settings: Environment) -> None:
        """Say what became of its members, now that it is whole."""
        if not settings.members_log:
            for member, why in self._failed:
                verb = _VERBS[self._members.on_error]
                logger.warning("%s %s: %s", verb, f"{self._name}!{member}", settings.redact(why))
            return
        line = {
            "shard": self._name,
            "transformed": self._transformed,
            "copied": self._copied,
            "skipped": self._skipped,
            "failed": [(member, settings.redact(why)) for member, why in self._failed],
        }
        file = os.open(settings.members_log, os.O_WRONLY | os.O_APPEND)
        try:
            write_all(file, b"\n" + json.dumps(line).encode())  # behind a line that a kill has torn, too
        finally:
            os.close(file)

    def _member(self, member: Member) -> Iterator[bytes]:
        """What takes a member's place."""
        with contextlib.ExitStack() as files:
            is_kept = self._members.on_error == KEEP and not member.is_sparse
            source = files.enter_context(_kept(member)) if is_kept else member.file
            try:
                file, results = self._transform(member, source, files)
                self._take([name for name, _ in results], member.name)
            except Skip:
                self._raise_damage()
                self._skipped += 1
                return
            except (TransformError, ShardError) as error:
                self._raise_damage()
                if self._members.on_error == FAIL:
                    raise
                self._failed.append((member.name, split_frames(str(error))[0]))
                if self._members.on_error == DROP:
                    return
                self._take([member.name])
                if member.is_sparse:
                    yield from self._writer.copy(member)
                    return
                source.seek(0)
                file, results = source, [(member.name, member.size)]
            else:
                self._raise_damage()
                self._transformed += 1
            for name, size in results:
                yield from self._writer.add_file(name, file, size, like=member)

    def _transform(
        self, member: Member, source: IO[bytes], files: contextlib.ExitStack
    ) -> tuple[IO[bytes], list[tuple[str, int]]]:
        """A member's results, one behind the other, with their names and sizes."""
        name = f"{self._name}!{member.name}"
        if member.is_sparse:
            raise ShardError(f"the content of {name!r} is stored without its holes; make the shard without --sparse")
        path = self._members.path(self._path, member)
        with self._code.named(name):
            try:
                match self._members.shape:
                    case Shape.STREAM:
                        reader = ForwardReader(_Lent(source))
                        file, size = _gathered(self._code.pieces(reader, path, self._etl_args), files)
                        return file, [(member.name, size)]
                    case Shape.MANY:
                        return self._results(self._code.several(source.read(), path, self._etl_args), member, files)
                result = self._code.whole(source.read(), path, self._etl_args)
                if isinstance(result, Result):
                    return self._results(iter([result]), member, files)
                return io.BytesIO(result), [(member.name, len(result))]
            except BaseException as error:
                raise self._code.failure(error, name) from error

    def _results(
        self, results: Iterator[Result], member: Member, files: contextlib.ExitStack
    ) -> tuple[IO[bytes], list[tuple[str, int]]]:
        named: list[tuple[str, int]] = []

        def pieces() -> Iterator[bytes]:
            for result in results:
                if result.metadata:
                    raise ShardError("a member of a shard has no metadata, and a Result for one has some")
                data = self._code.data_of(result)
                named.append((result.name or member.name, len(data)))
                yield data

        return _gathered(pieces(), files)[0], named

    def _take(self, names: Sequence[str], own: str = "") -> None:
        """Take the names of members; `own` is that of the member that they come from, and the others are new."""
        for name in names:
            is_given = bool(own) and name != own
            if hash(name) in (self._names if is_given else self._given):
                raise ShardError(f"two members would be called {name!r}, one of them by its Result")
        for name in names:
            self._names.add(hash(name))
            if own and name != own:
                self._given.add(hash(name))

    def _raise_damage(self) -> None:
        """Raise what is wrong with the shard, whatever the user's code has made of it: no member is to blame."""
        failure = self._reader.failure or self._shard.failure
        if failure is not None:
            raise failure


_VERBS = {FAIL: "failed", DROP: "dropped", KEEP: "kept"}


class _Lent(io.RawIOBase):
    """A file in the user's hand: whoever closes it (a text wrapper, when it is forgotten) closes no more than this."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _gathered(pieces: Iterator[bytes], files: contextlib.ExitStack) -> tuple[IO[bytes], int]:
    """A file with all pieces, and its size."""
    file = files.enter_context(_temporary_file())
    for piece in pieces:
        with temporary("a member's result"):
            file.write(piece)
    size = file.tell()
    file.seek(0)
    return file, size


def _kept(member: Member) -> IO[bytes]:
    """A member's content, where it can be read again."""
    file = _temporary_file()
    while data := member.read(BUFFER):
        with temporary("a member"):
            file.write(data)
    file.seek(0)
    return file


def _temporary_file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)
