"""The shim between a node and a process that is not ours: `python shim.py PARENT_FD LOG LIMIT GRACE COMMAND...`

It runs the command and copies what that prints to LOG, never more than LIMIT bytes of it on the disk. At SIGTERM it
lets the command end within GRACE seconds, at SIGINT it ends it at once. And it makes sure of three things: nothing that
the command has started outlives it; nothing outlives whoever holds the other end of the pipe PARENT_FD; and how the
command ended is how the shim ends.

It is a program of its own and imports nothing of ours, so that it starts in a few milliseconds.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PIECE = 1 << 16
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SET_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_CANT_RUN = 127


class Log:
    """The last of what a process prints: two files, of which the older is dropped when the newer is full."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._half = max(1, limit // 2)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def add(self, data: bytes) -> None:
        """Append; on a disk that is full what doesn't fit is lost: the process that prints must not stand still."""
        with contextlib.suppress(OSError):
            for start in range(0, len(data), self._half):
                self._append(data[start : start + self._half])

    def _append(self, data: bytes) -> None:
        if self._size + len(data) > self._half:
            os.replace(self._path, self._path + ".1")
            os.close(self._file)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = 0
        self._size += os.write(self._file, data)


def main(arguments: list[str]) -> int:
    """Run the command to its end."""
    parent, path, limit, grace = int(arguments[0]), arguments[1], int(arguments[2]), float(arguments[3])
    os.set_inheritable(parent, False)
    _prctl(_SET_SUBREAPER, 1)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    printed, output = os.pipe()
    child = _start(arguments[4:], output)
    os.close(output)
    os.set_blocking(printed, False)
    log = Log(path, limit)
    code = _watch(child, parent, wake, printed, log, grace)
    _end_descendants()
    _copy(printed, log, limit)
    return code


def _start(command: list[str], output: int) -> int:
    us = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(_CANT_RUN)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"can't run {command[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(_CANT_RUN)


def _watch(child: int, parent: int, wake: int, printed: int, log: Log, grace: float) -> int:
    """Copy, and wait for the child's end, the parent's, or a signal to end."""
    poll = select.poll()
    for descriptor in (parent, wake, printed):
        poll.register(descriptor, select.POLLIN)
    deadline = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        events = dict(poll.poll(left))
        if parent in events and not os.read(parent, 1):
            _kill(child, signal.SIGKILL)
            poll.unregister(parent)
        if printed in events and not _copy(printed, log, _PIECE):
            poll.unregister(printed)
        signals = set(os.read(wake, 4096)) if wake in events else set()
        if signal.SIGINT in signals:
            deadline = 0.0
        elif signal.SIGTERM in signals and deadline is None:
            deadline = time.monotonic() + grace
            _kill(child, signal.SIGTERM)
        if deadline is not None and time.monotonic() >= deadline:
            _kill(child, signal.SIGKILL)
            deadline = None
        code = _reap(child)
        if code is not None:
            return code


def _copy(printed: int, log: Log, most: int) -> bool:
    """Copy what is there, up to `most` bytes."""
    while most > 0:
        try:
            data = os.read(printed, _PIECE)
        except BlockingIOError:
            return True
        if not data:
            return False
        log.add(data)
        most -= len(data)
    return True


def _reap(child: int) -> int | None:
    """Take note of whoever has ended."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
    return code


def _end_descendants() -> None:
    """End every process below us. One whose parent ends becomes our child, so that none is missed."""
    while True:
        for pid in _children():
            _kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    us = os.getpid()
    with open(f"/proc/{us}/task/{us}/children") as file:
        return [int(pid) for pid in file.read().split()]


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end_like(code: int) -> None:
    """End as the command has ended."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    _end_like(main(sys.argv[1:]))
