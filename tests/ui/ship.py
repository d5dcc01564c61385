"""The ETLs that the tests of the page put onto a node."""

import runpy
from pathlib import Path
from typing import Any

from aistore import Client
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from instore import ETLServer
from tests.examples.support import EXAMPLES
from tests.support.servers import TRANSFORMS


def ship(client: Client) -> None:
    """Initialise them: the thumbnails, one with arguments, two of our own, and one of these again, which pulls."""

    class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
        """Upper case; what begins with `fail` fails, after a line in the log."""

        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            if data.startswith(b"fail"):
                print("about to give up on", path)
                raise ValueError(f"nothing to be done with <b>{path}</b>")
            return data.upper() + etl_args.encode()

    class Same(HTTPMultiThreadedServer):  # type: ignore[misc]
        """Gives what it gets, and says that it is HTML."""

        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data

        def get_mime_type(self) -> str:
            return "text/html"

    for name, cls in (("thumbnails", thumbnails()), ("upper-etl", Upper), ("same-html", Same)):
        client.etl(name).init_class()(cls)
    client.etl("with-args").init_class()(example(TRANSFORMS / "with_args.py"))
    client.etl("pulling-upper").init_class(comm_type="hpull")(Upper)


def thumbnails() -> Any:
    """The class of the example."""
    return example(EXAMPLES / "thumbnails.py")


def example(file: Path) -> Any:
    """The class that a file defines."""
    members = runpy.run_path(str(file))
    return next(m for m in members.values() if isinstance(m, type) and issubclass(m, ETLServer) and m is not ETLServer)
