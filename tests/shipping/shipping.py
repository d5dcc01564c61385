"""Shipping a class as a user does: AIStore's client sends it, and a small proxy takes down what came."""

import json
import os
import subprocess
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.servers import clean_environment

INIT_CLASS = """
from aistore import Client
import os

etl = Client(os.environ["PROXY"]).etl("test-etl")
etl.init_class({arguments})({name})
"""
"""What stands at the end of a script that initialises an ETL."""

NOTEBOOK = """
import linecache, sys, types

main = types.ModuleType("__main__")
sys.modules["__main__"] = main
for number, cell in enumerate(sys.argv[1].split("# %%")):
    name = f"<ipython-input-{number}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    exec(compile(cell, name, "exec"), vars(main))
"""
"""A script that runs another one as a notebook does: cell by cell, in a module of no file."""


class Proxy:
    """What an AIStore proxy was asked for.

    Attributes:
        url: where it listens.
        messages: those of `PUT /v1/etl`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[Any] = []


@contextmanager
def proxy() -> Iterator[Proxy]:
    """A proxy that accepts every ETL, until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seen.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"job")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen = Proxy(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield seen
        server.shutdown()
        thread.join()


def init_class(
    python: Sequence[str | Path], folder: Path, script: str, name: str, arguments: str = "", notebook: bool = False
) -> dict[str, str]:
    """Run a script that ends in `Etl.init_class`.

    Args:
        python: the command of a Python that has AIStore's SDK.
        folder: where the script is written, and run.
        script: what defines the class; dedented.
        name: the class's.
        arguments: of `init_class`, as Python.
        notebook: run it as a notebook's cells, which `# %%` separates.

    Returns:
        The environment that the container would get.
    """
    text = textwrap.dedent(script) + INIT_CLASS.format(name=name, arguments=arguments)
    file = folder / "script.py"
    file.write_text(NOTEBOOK if notebook else text)
    with proxy() as seen:
        subprocess.run(
            [*map(str, python), file.name, *([text] if notebook else [])],
            cwd=folder,
            env={**clean_environment(), "PROXY": seen.url},
            check=True,
        )
    file.unlink()  # what was shipped needs no script
    [message] = seen.messages
    return {variable["name"]: variable["value"] for variable in message["runtime"]["env"]}


def write_payload(python: Sequence[str | Path], folder: Path, script: str, name: str) -> str:
    """The payload that instore's own `serialize_class` makes of a script's class."""
    ending = f"\nfrom instore.webserver.utils import serialize_class\nprint(serialize_class({name}))\n"
    file = folder / "script.py"
    file.write_text(textwrap.dedent(script) + ending)
    run = subprocess.run(
        [*map(str, python), file.name],
        cwd=folder,
        env={**clean_environment(), "PATH": os.environ["PATH"]},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    file.unlink()
    return run.stdout.strip()
