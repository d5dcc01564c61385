"""The ASGI application behind a WSGI server that runs in processes or threads, such as gunicorn.

Strategy: each process has one event loop in a thread of its own, where the ASGI application lives. The WSGI server's
thread keeps what belongs to it, its input and its output: the application asks for both through a queue, and the thread
serves what is asked until the answer is over. So a body is read only as fast as it is used, and a batch of the answer
is taken only when the one before it is out. What the WSGI server gives up is cancelled.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

import uvloop

from instore.errors import ClientGoneError
from instore.server.app import ETLApplication
from instore.server.contract import Transform
from instore.server.process import set_up_process
from instore.server.thread_pool import THREAD_PER_REQUEST

Environ = MutableMapping[str, Any]
StartResponse = Callable[..., Any]
Message = MutableMapping[str, Any]

_READ = 1 << 18
_PLAIN_HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH")


class WSGIApplication:
    """A WSGI application around one transform. It may be made before the server forks.

    Args:
        server: the user's object.
        bind: makes what the server sees of it.

    Attributes:
        wsgi_app: what serves a request; may be wrapped.
    """

    def __init__(self, server: Any, bind: Callable[[Any], Transform]) -> None:
        self.wsgi_app: Callable[[Environ, StartResponse], Iterable[bytes]] = self._serve
        self._server = server
        self._bind = bind
        self._lock = threading.Lock()
        self._host: _Host | None = None
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self.wsgi_app(environ, start_response)

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return _WSGIExchange(self._running(environ), environ).begin(start_response)

    def _running(self, environ: Environ) -> "_Host":
        """This process's event loop, with the application on it."""
        with self._lock:
            if self._host is None:
                if environ.get("wsgi.multithread") and not _states_concurrency(type(self._server)):
                    # The user asked the WSGI server for threads: they are the limit, as they are without us.
                    self._server.concurrency = THREAD_PER_REQUEST
                self._host = _Host(self._bind(self._server))
            return self._host

    def _forget(self) -> None:
        """In a forked process: neither the loop's thread nor whoever held the lock has come along."""
        self._lock = threading.Lock()
        self._host = None


class _Host:
    """An event loop in a thread, and the application that lives there."""

    def __init__(self, transform: Transform) -> None:
        set_up_process()
        self.loop = uvloop.new_event_loop()
        self.application = ETLApplication(transform)
        threading.Thread(target=self.loop.run_forever, name="asgi", daemon=True).start()


class _WSGIExchange:
    """One request: what the application asks of the WSGI server's thread, and what that answers."""

    def __init__(self, host: _Host, environ: Environ) -> None:
        self._host = host
        self._scope = _scope(environ)
        self._input = _Input(environ)
        self._asked: SimpleQueue[tuple[str, Any, asyncio.Future[Any] | None]] = SimpleQueue()
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[Any] | None = None  # a batch that is out once the next one is asked for
        self._over = False

    def begin(self, start_response: StartResponse) -> Iterator[bytes]:
        """Run the application up to its answer's first bytes; what is returned has the answer's body."""
        self._host.loop.call_soon_threadsafe(self._start)
        what, value, answered = self._next()
        if what == "error":
            raise value
        if what == "end":  # without an answer, so its client has left; WSGI has to have one
            value = {"status": HTTPStatus.BAD_REQUEST, "headers": [(b"content-length", b"0")]}
            self._over = True
        headers = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in value["headers"]]
        try:
            start_response(_status_line(value["status"]), headers)
        except BaseException:
            self.close()  # nobody will ask for the body
            raise
        self._resolve(answered, None)
        return self

    def __iter__(self) -> "Iterator[bytes]":
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        self._resolve(self._waiting, None)
        what, value, self._waiting = self._next()
        if what != "message":
            self._over = True
            raise value if what == "error" else ClientGoneError("the client left before the answer ended")
        if not value.get("more_body", False):
            self._over = True
            self._resolve(self._waiting, None)
        body: bytes = value.get("body", b"")
        return b"" if self._scope["method"] == "HEAD" else body  # a WSGI server would send it

    def close(self) -> None:
        """The WSGI server is done with the answer, or has given it up."""
        if not self._over:
            self._host.loop.call_soon_threadsafe(self._cancel)

    def _next(self) -> tuple[str, Any, asyncio.Future[Any] | None]:
        """What the application asks next of the output; its questions for input are answered on the way."""
        while True:
            what, value, answered = self._asked.get()
            if what != "receive":
                return what, value, answered
            if (message := self._input.read()) is not None:
                self._resolve(answered, message)

    def _resolve(self, answered: asyncio.Future[Any] | None, value: object) -> None:
        if answered is not None:
            self._host.loop.call_soon_threadsafe(_set, answered, value)

    # From here on: on the event loop.

    def _start(self) -> None:
        self._task = self._host.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._host.application(self._scope, self._receive, self._send)
        except Exception as error:
            self._asked.put(("error", error, None))
        else:
            self._asked.put(("end", None, None))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _receive(self) -> Message:
        message: Message = await self._ask("receive", None)
        return message

    async def _send(self, message: Message) -> None:
        await self._ask("message", message)

    async def _ask(self, what: str, value: object) -> Any:
        answered = self._host.loop.create_future()
        self._asked.put((what, value, answered))
        return await answered


class _Input:
    """The request's body, read in the WSGI server's thread."""

    def __init__(self, environ: Environ) -> None:
        self._stream = environ["wsgi.input"]
        length = environ.get("CONTENT_LENGTH", "")
        # Without a length, only a server that ends its input where the body ends has a body for us.
        chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._left: int | None = None if chunked else int(length) if length.isdigit() else 0
        self._ended = False
        if chunked and not environ.get("wsgi.input_terminated"):
            raise ValueError("the WSGI server passes a chunked body that it does not end; use one that does: gunicorn")

    def read(self) -> Message | None:
        """The next message about the body; None when all was told, and there is nothing to wait for."""
        if self._ended:
            return None
        try:
            data = (
                self._stream.read(_READ if self._left is None else min(_READ, self._left)) if self._left != 0 else b""
            )
        except Exception:  # each server has its own for a connection that is lost and a framing that is broken
            return self._end({"type": "http.disconnect"})
        if self._left is None:
            more = bool(data)
        else:
            if not data and self._left:
                return self._end({"type": "http.disconnect"})
            self._left -= len(data)
            more = self._left > 0
        message = {"type": "http.request", "body": data, "more_body": more}
        return message if more else self._end(message)

    def _end(self, message: Message) -> Message:
        self._ended = True
        return message


def _states_concurrency(cls: type[Transform]) -> bool:
    ours = "instore.webserver."
    return any("concurrency" in vars(base) for base in cls.__mro__ if not base.__module__.startswith(ours))


def _set(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _scope(environ: Environ) -> Message:
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    # The path as it came, by the names that gunicorn and werkzeug have for it; WSGI itself keeps none.
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    raw_path = raw.partition("?")[0] if raw.startswith("/") else quote(path)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.0").partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path.decode(errors="surrogateescape"),
        "raw_path": raw_path.encode("latin-1"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": "",
        "headers": list(_headers(environ)),
    }


def _headers(environ: Environ) -> Iterator[tuple[bytes, bytes]]:
    for name, value in environ.items():
        if name in _PLAIN_HEADERS and value:
            yield name.replace("_", "-").lower().encode(), value.encode("latin-1")
        elif name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower().encode(), value.encode("latin-1")


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
