"""One server a shape and module, around transforms whose behaviour the request's `etl_args` choose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, running
from tests.support.target import Target, running_target

BUFFERED = """
    import json, time
    from instore import ETLServer

    class Buffered(ETLServer):
        def transform(self, data, path, etl_args):
            match etl_args:
                case "empty": return b""
                case "raise": raise ValueError("the picture is upside down")
                case "leak": raise ValueError("could not reach " + self.host_target)
                case "text": return "not bytes"
                case "tell": return json.dumps({"path": path, "data": data.decode("latin-1")}).encode()
                case "args": return etl_args.encode()
            if etl_args.startswith("{"): return etl_args.encode()
            if etl_args.startswith("sleep"): time.sleep(float(etl_args.split()[1]))
            return b"<" + data.upper() + b">"

        def get_mime_type(self):
            return "text/x-loud"
"""

STREAMED = """
    from instore import ETLServer

    class Streamed(ETLServer):
        def transform_stream(self, reader, path, etl_args):
            if etl_args == "empty": return
            if etl_args == "raise": raise ValueError("the picture is upside down")
            yield b"<"
            while chunk := reader.read(1 << 16):
                yield chunk.upper()
            if etl_args == "raise late": raise ValueError("the picture ends upside down")
            yield b">"

        def get_mime_type(self):
            return "text/x-loud"
"""

ASYNC_BUFFERED = """
    import asyncio
    from instore import ETLServer

    class AsyncBuffered(ETLServer):
        async def transform(self, data, path, etl_args):
            await asyncio.sleep(0)
            if etl_args == "empty": return b""
            if etl_args == "raise": raise ValueError("the picture is upside down")
            return b"<" + data.upper() + b">"

        def get_mime_type(self):
            return "text/x-loud"
"""

ASYNC_STREAMED = """
    import asyncio
    from instore import ETLServer

    class AsyncStreamed(ETLServer):
        async def transform_stream(self, reader, path, etl_args):
            if etl_args == "empty": return
            if etl_args == "raise": raise ValueError("the picture is upside down")
            yield b"<"
            while chunk := await reader.read(1 << 16):
                yield chunk.upper()
            if etl_args == "raise late": raise ValueError("the picture ends upside down")
            yield b">"

        def get_mime_type(self):
            return "text/x-loud"
"""

SHAPES = {
    "buffered": BUFFERED,
    "streamed": STREAMED,
    "async-buffered": ASYNC_BUFFERED,
    "async-streamed": ASYNC_STREAMED,
}


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as target:
        yield target


@pytest.fixture
def no_puts(target: Target) -> Target:
    """The target, with nothing put to it yet."""
    target.puts.clear()
    target.answers.clear()
    return target


@pytest.fixture(scope="module", params=SHAPES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, target: Target
) -> Iterator[Server]:
    """A server of every shape in turn."""
    with running(tmp_path_factory.mktemp(request.param), SHAPES[request.param], target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def buffered(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), BUFFERED, target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), STREAMED, target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket's folder in the layout of a target's disk."""
    folder = tmp_path_factory.mktemp("mountpath") / "@ais" / "photos" / "%ob"
    folder.mkdir(parents=True)
    return folder
