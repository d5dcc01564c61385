"""Classes that the tests of the test kit serve. A server imports this module, so it has little to import."""

import os
import signal

from instore import ETLServer


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
