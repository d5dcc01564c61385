"""A worker that does what an object's name says. Its socket is the last argument.

A result is its object in upper case; but
`die-*` kills the worker every time, `die-once-*` the first time; `short-*`, `cut-*` and `silent-*` break the answer
off; `error-*` and `mute-*` answer 500, `flaky-N-*` 422 the first N times, `nothing-*` 204, `wait-*` never; `big-*` is a
long streamed answer.
"""

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from aiohttp import web

from instore.protocol.requests import parse_request

PIECE = b"0123456789abcdef" * 4096
PIECES = 80


def end_with_parent() -> None:
    os.read(int(os.environ["INSTORE_PARENT_FD"]), 1)
    os._exit(0)


async def health(_request: web.Request) -> web.Response:
    return web.Response(text="Running", headers={"Instore-Concurrency": os.environ.get("FAKE_CONCURRENCY", "2")})


async def answer(request: web.Request) -> web.StreamResponse:
    raw_path, _, query = request.raw_path.partition("?")
    asked = parse_request("PUT", raw_path, query, ())
    kind = Path(asked.path).name
    data = Path(asked.fqn).read_bytes() if asked.fqn else await request.read()
    seen = Path(os.environ.get("FAKE_STATE", "/nonexistent")) / "died"
    if kind.startswith("die-once") and seen.exists():
        return web.Response(body=data.upper())
    if kind.startswith("die-"):
        await asyncio.sleep(0.2)  # so that others are under way
        if kind.startswith("die-once"):
            seen.touch()
        print(f"about to die of {kind}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if kind.startswith("exit-"):
        os._exit(3)
    if kind.startswith("wait-"):
        if seen.parent.exists():
            (seen.parent / "waiting").touch()
        await asyncio.sleep(3600)
    if kind.startswith("args-"):
        return web.Response(text=asked.etl_args)
    if kind.startswith("path-"):
        return web.Response(text=asked.path)
    if kind.startswith("error-"):
        return web.Response(status=500, text=f"it hurts:\n{kind}")
    if kind.startswith("flaky-"):
        tries = Path(os.environ["FAKE_STATE"], kind)
        tries.write_bytes(b"x" + (tries.read_bytes() if tries.exists() else b""))
        if tries.stat().st_size <= int(kind.split("-")[1]):
            return web.Response(status=422, text="not yet")
    if kind.startswith("mute-"):
        return web.Response(status=500)
    if kind.startswith("nothing-"):
        return web.Response(status=204)
    assert request.transport is not None
    if kind.startswith("silent-"):
        request.transport.abort()
    if kind.startswith("short-"):
        print(f"WARNING object={asked.path!r} outcome=failed error='the disk is on fire'", file=sys.stderr, flush=True)
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
        request.transport.close()
    if kind.startswith(("big-", "cut-")):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(PIECE)
        if kind.startswith("cut-"):
            request.transport.abort()
        return response
    await asyncio.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    return web.Response(body=data.upper())


def main() -> None:
    refusal = os.environ.get("FAKE_REFUSAL")
    if refusal is not None:
        print("some noise\n" + refusal, file=sys.stderr)
        sys.exit(int(os.environ["FAKE_EXIT"]))
    if os.environ.get("FAKE_STARTS") is not None:
        starts = Path(os.environ["FAKE_STATE"]) / "starts"
        with starts.open("a") as file:
            file.write("x")
        if starts.stat().st_size > int(os.environ["FAKE_STARTS"]):
            sys.exit("no more")
    threading.Thread(target=end_with_parent, daemon=True).start()
    app = web.Application(client_max_size=1 << 30, handler_args={"max_line_size": 1 << 16})
    app.router.add_get("/health", health)
    app.router.add_put(r"/{tail:[\s\S]*}", answer)
    web.run_app(app, path=sys.argv[-1], print=None, access_log=None, shutdown_timeout=0)


if __name__ == "__main__":
    main()
