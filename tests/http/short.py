"""An application with a shortcut for `PUT /short…`; `python -m tests.http.short` says its port and serves.

The shortcut answers with the body's length in its text; the application says "long" and the length.
"""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from instore.http.server import bind, serve

LIMIT = 1000
GRACE = 10


class Lengths:
    """A `FastPath`."""

    def takes(self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        lengths = [int(value) for name, value in headers if name == b"content-length"]
        return method == b"PUT" and target.startswith(b"/short") and bool(lengths) and lengths[0] <= LIMIT

    def answer(self, target: bytes, body: bytes) -> tuple[int, str]:
        return (200, f"{target.decode()} {len(body)}") if body else (204, "")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body was."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await asyncio.sleep(0.05)  # so that what is pipelined behind it has come
    text = f"long {length}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


if __name__ == "__main__":
    listener = bind("127.0.0.1", 0)
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    serve(application, [listener], GRACE, Lengths(), ws="none")
