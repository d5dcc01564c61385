"""How long `/health` takes while every transform of a server is busy."""

import contextlib
import http.client
import threading
import time

from bench.site import HOST, Server, WrongAnswerError

CLIENTS = 8
EVERY = 0.02  # seconds between probes

_TIMEOUT = 60.0


def percentile_99(server: Server, path: str, warm_up: float, seconds: float) -> float:
    """Milliseconds under which 99 of 100 probes stay, while eight clients PUT to `path`.

    A probe counts from the moment when it was due: one that hangs makes those behind it late as well.

    Raises:
        WrongAnswerError: a probe or a transform failed.
    """
    load = _Load(server, path)
    try:
        time.sleep(warm_up)
        taken = sorted(_probe(server, seconds))
    finally:
        load.stop()
    return taken[int(0.99 * (len(taken) - 1))] * 1000


def _probe(server: Server, seconds: float) -> list[float]:
    """The seconds that each probe took; those that could not be sent before the end count up to it."""
    begin = time.perf_counter()
    due = [begin + number * EVERY for number in range(max(1, int(seconds / EVERY)))]
    taken: list[float] = []
    for moment in due:
        time.sleep(max(0.0, moment - time.perf_counter()))
        if time.perf_counter() < begin + seconds:
            _ask(server)
        taken.append(time.perf_counter() - moment)
    return taken


def _ask(server: Server) -> None:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        if (answer.status, answer.read()) != (200, b"Running"):
            raise WrongAnswerError(f"{server.kind.name} answered /health with {answer.status}")
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswerError(f"{server.kind.name}, /health: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


class _Load:
    """Clients that PUT over and over until they are stopped."""

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self._path = path
        self._going = True
        self._failure: Exception | None = None
        self._threads = [threading.Thread(target=self._put, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the clients; raises if one of them failed."""
        self._going = False
        for thread in self._threads:
            thread.join(_TIMEOUT)
        if self._failure is not None:
            raise WrongAnswerError(f"{self._server.kind.name}: {self._failure}") from self._failure

    def _put(self) -> None:
        connection = http.client.HTTPConnection(HOST, self._server.port, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            while self._going and self._failure is None:
                try:
                    connection.request("PUT", self._path, b"object")
                    answer = connection.getresponse()
                    if (answer.status, answer.read()) != (200, b"object"):
                        raise WrongAnswerError(f"a transform answered {answer.status}")  # noqa: TRY301
                except Exception as error:
                    self._failure = error
