"""Classes that the tests of the test kit serve. A server imports this module, so it has little to import."""

import os
import signal
from collections.abc import Iterator
from typing import Any, BinaryIO

from instore import ETLServer, Result, Skip


class Tells(ETLServer):
    """Tells what it was given."""

    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        if etl_args == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if etl_args == "print":
            print("three faces")
        if etl_args == "raise":
            raise ValueError("upside down")
        return f"{path}|{etl_args}|{data!r}".encode()


class ByPath(ETLServer):
    """Its result depends on how it was asked."""

    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        return path.encode()


class Counts(ETLServer):
    """Its result depends on what was before."""

    number = 0

    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        self.number += 1
        return b"%d" % self.number


class Picky(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        if len(data) > 2:
            raise ValueError("too long")
        return b""


class Skips(ETLServer):
    def transform(self, data: Any, path: str, etl_args: str) -> Any:
        if data == b"small":
            raise Skip("it is small " + "indeed " * 30)
        return data[::-1]


class SkipsStreams(ETLServer):
    def transform_stream(self, reader: BinaryIO, path: str, etl_args: str) -> Iterator[bytes]:
        data = reader.read()
        if data == b"small":
            raise Skip("it is small")
        yield data[::-1]


class Described(ETLServer):
    """Gives results of each kind: named, typed, with metadata; the name is the same however it was asked."""

    def transform(self, data: Any, path: str, etl_args: str) -> Result:
        if data == b"small":
            raise Skip("it is small")
        if data == b"typed":
            return Result(data, content_type="text/x-typed")
        if data == b"with metadata":
            return Result(data, metadata={"bytes": str(len(data))})
        return Result(data, name=f"{self.object.name}.copy")


class Splits(ETLServer):
    """A result for each letter, which may be none."""

    def transform_many(self, data: Any, path: str, etl_args: str) -> Iterator[Result]:
        if data == b"small":
            raise Skip("it is small")
        for number, letter in enumerate(data):
            yield Result(b"%c" % letter, name=f"{self.object.name}/{number}", metadata={"number": str(number)})


class Reverses(ETLServer):
    def transform_batch(self, objects: list[Any], paths: list[str], etl_args: str) -> list[bytes | Result | Exception]:
        return [Skip("it is small") if data == b"small" else data[::-1] for data in objects]


class Pads(ETLServer):
    """What it makes of an object depends on those beside it."""

    def transform_batch(self, objects: list[Any], paths: list[str], etl_args: str) -> list[bytes]:
        return [data.ljust(max(map(len, objects))) for data in objects]


class SkipsTogether(ETLServer):
    def transform_batch(self, objects: list[Any], paths: list[str], etl_args: str) -> list[bytes | Result | Exception]:
        return [Skip("it has company") if len(objects) > 1 else data for data in objects]


class SkipsFiles(ETLServer):
    def transform(self, data: Any, path: str, etl_args: str) -> Any:
        if isinstance(data, str):
            raise Skip("it is a file")
        return data


class SkipsBodies(ETLServer):
    def transform(self, data: Any, path: str, etl_args: str) -> Any:
        if not path.startswith("ais/"):
            raise Skip("it is a body")
        return data


class SkipsMessages(ETLServer):
    def transform(self, data: Any, path: str, etl_args: str) -> Any:
        if not self.object.bucket:
            raise Skip("it is a message")
        return data


class NamesBodies(ETLServer):
    def transform(self, data: Any, path: str, etl_args: str) -> Result:
        return Result(data, name="copy" if self.object.bucket else "")


class FailsMessages(ETLServer):
    """Fails over WebSocket, where it makes several results elsewhere."""

    def transform(self, data: Any, path: str, etl_args: str) -> Result:
        if not self.object.bucket:
            raise ValueError("it is a message " + "indeed " * 30)
        return Result(data, name="copy")


class NamesMessages(ETLServer):
    """Skips what comes in any other way than over WebSocket, and gives a name to the rest."""

    def transform(self, data: Any, path: str, etl_args: str) -> Result:
        if self.object.bucket:
            raise Skip("it is no message")
        return Result(data, name="copy")


class DescribesByPath(ETLServer):
    """Its result has another name, content type or metadata, as the arguments say, for each path."""

    def transform(self, data: Any, path: str, etl_args: str) -> Result:
        word = path.partition("/")[0]
        if etl_args == "name":
            return Result(data, name=word)
        return Result(data, content_type=f"text/{word}") if etl_args == "type" else Result(data, metadata={"of": word})


class SplitsByPath(ETLServer):
    """Makes of each path other results, or as the arguments say another number of them."""

    def transform_many(self, data: Any, path: str, etl_args: str) -> Iterator[Result]:
        words = path.split("/")
        for number in range(len(words) if etl_args == "number" else 2):
            yield Result(words[number].encode() if number else b"", name=str(number))
