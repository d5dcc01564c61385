"""What metrics cost: `python -m bench.metrics` compares a server's CPU time with and without counting.

Three servers run at once, two of them alike, and are sent bursts of PUTs of 1 KiB in turn, so that whatever else the
machine does meets all. Compared is the CPU time of a burst, as the kernel counts it in nanoseconds, which one in twenty
stays below. How far the two that are alike lie apart says what the figure is worth: nothing, on a busy machine. The
times that a server notes on an object's way (calls of `perf_counter`) are taken in all.
"""

import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peers import INSTORE
from bench.site import HOST, WrongAnswerError, free_port

_BURSTS, _ROUNDS, _WARM_UP = 900, 40, 500
_CONNECTIONS = 8
_BODY = b"x" * 1024
_PUT = b"PUT /bucket/object HTTP/1.1\r\nHost: etl\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


@contextmanager
def _server(transform: str, folder: Path) -> Iterator[tuple[int, list[socket.socket]]]:
    """Its process's id, and connections to it."""
    port = free_port()
    module = INSTORE.write_module(transform, folder, port)
    command = [*INSTORE.start_command(module, port, 1), "--target-url", "http://127.0.0.1:9/v1/etl/_object/x/secret"]
    with (folder / f"{transform}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        with ExitStack() as opened:
            yield process.pid, [opened.enter_context(_connected(port, process)) for _ in range(_CONNECTIONS)]
    finally:
        process.terminate()
        process.wait()


def _connected(port: int, process: "subprocess.Popen[bytes]") -> socket.socket:
    while True:
        try:
            return socket.create_connection((HOST, port), timeout=60)
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise
            time.sleep(0.05)


def _cpu(pid: int) -> int:
    """Nanoseconds that its threads have run."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _put(connections: list[socket.socket], rounds: int) -> None:
    """Send a PUT over each connection, and then read each answer, so often."""
    for _ in range(rounds):
        for connection in connections:
            connection.sendall(_PUT)
        for connection in connections:
            answer = b""
            while not answer.endswith(b"\r\n\r\n" + _BODY):
                piece = connection.recv(1 << 16)
                if not piece or len(answer) > 1 << 14:
                    raise WrongAnswerError(f"the answer is not the object: {answer[:100]!r}")
                answer += piece


def measure(bursts: int = _BURSTS, rounds: int = _ROUNDS, warm_up: int = _WARM_UP) -> list[float]:
    """Microseconds of CPU for a PUT of 1 KiB: with counting, without, and with it by another server."""
    spent: list[list[float]] = [[], [], []]
    with ExitStack() as undo:
        running = []
        for transform in ("echo", "uncounted", "echo"):
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
            running.append(undo.enter_context(_server(transform, folder)))
        for _, connections in running:
            _put(connections, warm_up)
        for burst in range(bursts):
            for which in (burst % 3, (burst + 1) % 3, (burst + 2) % 3):
                pid, connections = running[which]
                before = _cpu(pid)
                _put(connections, rounds)
                spent[which].append((_cpu(pid) - before) / (rounds * _CONNECTIONS) / 1000)
    return [statistics.quantiles(times, n=20)[0] for times in spent]


if __name__ == "__main__":
    counted, uncounted, again = measure()
    print(f"a PUT of 1 KiB: {uncounted:.1f} µs of CPU without counting, {counted:.1f} and {again:.1f} with it")
    cost, noise = 100 * (min(counted, again) / uncounted - 1), 100 * abs(counted - again) / uncounted
    print(f"metrics cost {cost:.1f} %, where two equal servers differ by {noise:.1f} %")
