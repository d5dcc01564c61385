"""Jobs: what runs for longer than a request, and what is known of it afterwards, also after the node has been killed.

Strategy: a job's description is a small file, replaced at its start and at its end. Its counters are a second file,
mapped into memory: to count is to add to a number there, and the numbers outlive the process. They are raised after
what they count has happened, so they never promise too much. A job that has no end when the node starts was cut off: it
is aborted, and says how far it got.
"""

import asyncio
import contextlib
import json
import logging
import mmap
import operator
import os
import secrets
import string
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from instore.errors import ConfigurationError, InstoreError, JobNotFoundError
from instore.node.metadata import why_damaged, write_whole
from instore.store.names import Bucket

logger = logging.getLogger("instore")

_FOLDER = "jobs"
_KEPT = 1000  # finished jobs
_IDLE = 20.0  # seconds for which a job of a kind that idles is still listed as running when its work is done

NAMES = {
    "cleanup-store": "cleanup",
    "copy-bck": "copy-bucket",
    "copy-listrange": "copy-objects",
    "delete-listrange": "delete-objects",
    "etl-bck": "etl-bucket",
    "etl-listrange": "etl-objects",
    "lru": "lru-eviction",
    "move-bck": "rename-bucket",
    "promote": "promote-files",
    "summary-bck": "summary",
}
"""The kinds of jobs there are, each with the other name that AIStore's clients may call it by."""

KINDS = {other: kind for kind, other in NAMES.items()}
"""The same the other way round."""

_IDLING = ("copy-listrange", "etl-listrange")  # in AIStore, what comes later between these buckets joins the same job
_COUNTERS = ("objects", "bytes", "out_objects", "out_bytes", "in_objects", "in_bytes")
_ROW = struct.Struct(f"={len(_COUNTERS)}q")


class Counts(NamedTuple):
    """What a job has done on one target, as AIStore counts it.

    Attributes:
        objects, bytes: processed here.
        out_objects, out_bytes: sent to other targets.
        in_objects, in_bytes: received from other targets.
    """

    objects: int = 0
    bytes: int = 0
    out_objects: int = 0
    out_bytes: int = 0
    in_objects: int = 0
    in_bytes: int = 0


class Counters:
    """A job's counters, a row for each target, in a file that is mapped into memory. Any thread may add."""

    def __init__(self, path: str, targets: Sequence[str]) -> None:
        self._rows = {target: row * _ROW.size for row, target in enumerate(targets)}
        self._mutex = threading.Lock()
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(
                descriptor, 0, _ROW.size * len(targets)
            )  # a full disk is an error now, not a signal later
            self._map = mmap.mmap(descriptor, _ROW.size * len(targets))
        finally:
            os.close(descriptor)

    def add(self, target: str, counts: Counts) -> None:
        """Add `counts` to the row of `target`."""
        start = self._rows[target]
        with self._mutex:
            _ROW.pack_into(self._map, start, *map(operator.add, _ROW.unpack_from(self._map, start), counts))

    def of(self, target: str) -> Counts:
        """The row of `target`."""
        with self._mutex:
            return Counts(*_ROW.unpack_from(self._map, self._rows[target]))

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


class Job:
    """One job. Work is given it and reports through `count`; it may look at `stopping` and end early.

    Attributes:
        id: nine letters and digits.
        kind: as AIStore names it, such as `copy-bck`.
        source, destination: buckets; None: none.
        started, ended: nanoseconds since 1970; `ended` is 0 while it runs.
        aborted: it was stopped, or could not do what it was to do.
        error: why, or what failed; empty: all is well.
        workers: objects it works on at once, on each target.
        stopping: set when somebody wants it to end.
        result: what a job like a summary gives.
    """

    def __init__(self, counters: Counters, targets: Sequence[str], **fields: Any) -> None:
        self.id: str = fields["id"]
        self.kind: str = fields["kind"]
        self.source: Bucket | None = _bucket(fields.get("source"))
        self.destination: Bucket | None = _bucket(fields.get("destination"))
        self.started: int = fields["started"]
        self.ended: int = fields.get("ended", 0)
        self.aborted: bool = fields.get("aborted", False)
        self.error: str = fields.get("error", "")
        self.workers: int = fields.get("workers", 1)
        self.stopping = threading.Event()
        self.result: Any = None
        self._targets = targets
        self._counters = counters
        self._final: dict[str, Counts] = {}

    def count(self, target: str, size: int, owner: str = "") -> None:
        """Count an object that is done. Call it after the deed."""
        if owner in ("", target):
            self._counters.add(target, Counts(1, size))
        else:
            self._counters.add(target, Counts(1, size, out_objects=1, out_bytes=size))
            self._counters.add(owner, Counts(in_objects=1, in_bytes=size))

    def counts(self) -> dict[str, Counts]:
        """What was done so far, by target."""
        return self._final or {target: self._counters.of(target) for target in self._targets}

    def count_result(self, target: str, size: int, owner: str) -> None:
        """Count the result of an object of `target`: where it is kept there, or else as one that has gone elsewhere."""
        if owner == target:
            self._counters.add(target, Counts(1, size))
        else:
            self._counters.add(target, Counts(out_objects=1, out_bytes=size))
            self._counters.add(owner, Counts(in_objects=1, in_bytes=size))

    def add(self, target: str, counts: Counts) -> None:
        """Count many objects at once."""
        self._counters.add(target, counts)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.ended == 0

    @property
    def active(self) -> bool:
        """Whether it is running to AIStore's clients: they wait for some kinds to be idle, not to be gone."""
        idles = self.kind in _IDLING and not self.aborted and not self.stopping.is_set()
        return self.running or (idles and time.time_ns() - self.ended < _IDLE * 1e9)

    def done(self) -> Counts:
        """The sum over all targets."""
        return Counts(*map(sum, zip(*self.counts().values(), strict=True)))

    def finish(self, error: str, aborted: bool) -> None:
        """Note the end; only the registry calls this."""
        self.freeze()
        self.error, self.aborted, self.ended = error, aborted, time.time_ns()

    def freeze(self) -> None:
        """Keep the counts as they are now, and let go of their file; only the registry calls this."""
        self._final = self.counts()
        self._counters.close()

    def described(self) -> dict[str, Any]:
        """What is written to the disk."""
        return {
            "id": self.id,
            "kind": self.kind,
            "source": asdict(self.source) if self.source else None,
            "destination": asdict(self.destination) if self.destination else None,
            "started": self.started,
            "ended": self.ended,
            "aborted": self.aborted,
            "error": self.error,
            "workers": self.workers,
        }


Work = Callable[[Job], Awaitable[None]]


class Jobs:
    """All jobs of a node, running and done; the newest `_KEPT` of the latter are remembered."""

    def __init__(self, folder: str, targets: Sequence[str]) -> None:
        self._folder = os.path.join(folder, _FOLDER)
        self._targets = list(targets)
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        try:
            os.makedirs(self._folder, exist_ok=True)
            self._load()
        except OSError as error:
            raise ConfigurationError(f"can't use {self._folder}: {error.strerror}") from error

    def start(
        self,
        kind: str,
        work: Work,
        source: Bucket | None = None,
        destination: Bucket | None = None,
        job_id: str = "",
        workers: int = 1,
    ) -> Job:
        """Begin a job; call it on the event loop.

        It ends when `work` returns. If `work` raises it is aborted with the error's text; if it was stopped, too.
        """
        job = self._make(
            {
                "id": job_id or _new_id(),
                "kind": kind,
                "started": time.time_ns(),
                "workers": workers,
                "source": asdict(source) if source else None,
                "destination": asdict(destination) if destination else None,
            }
        )
        self._save(job)
        self._jobs.pop(job.id, None)
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, work), name=f"job {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    async def settled(self, job: Job, seconds: float) -> None:
        """Wait for a job's end, though not for longer."""
        task = self._tasks.get(job.id)
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)

    def find(self, job_id: str = "", kind: str = "", running: bool | None = None) -> list[Job]:
        """Jobs by id, kind (or its other name) and whether they run; an empty criterion fits all. The oldest first."""
        return [
            job
            for job in self._jobs.values()
            if (not job_id or job.id == job_id)
            and (not kind or kind in (job.kind, NAMES.get(job.kind)))
            and (running is None or job.running == running)
        ]

    def get(self, job_id: str) -> Job:
        """One job."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise JobNotFoundError(f"job {job_id!r} does not exist, or is too old to be remembered") from None

    def interrupted(self, kind: str, destination: Bucket) -> str:
        """The id of the newest aborted job of this kind and destination; empty: there is none."""
        found = [
            job.id for job in self.find(kind=kind, running=False) if job.aborted and job.destination == destination
        ]
        return found[-1] if found else ""

    def stop(self, job: Job) -> None:
        """Ask a job to end; it is aborted soon, unless its work is done. Who asks again changes nothing."""
        job.stopping.set()
        if job.running:
            task = self._tasks.get(job.id)
            if task is not None and not task.cancelling():
                task.cancel()

    async def close(self) -> None:
        """Stop all jobs and wait for their ends."""
        for job in self.find(running=True):
            self.stop(job)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, job: Job, work: Work) -> None:
        error, aborted = "", False
        try:
            await work(job)
        except asyncio.CancelledError:
            error, aborted = f"stopped; {_extent(job)}", True
        except InstoreError as failure:
            error, aborted = str(failure), True
        except Exception as failure:
            logger.exception("job %s (%s) failed", job.id, job.kind)
            error, aborted = f"{type(failure).__name__}: {failure}", True
        if job.stopping.is_set() and not aborted:
            error, aborted = f"stopped; {_extent(job)}", True
        job.finish(error or job.error, aborted)
        self._save(job)
        self._forget()

    def _make(self, fields: dict[str, Any]) -> Job:
        return Job(Counters(self._path(fields["id"], "counts"), self._targets), self._targets, **fields)

    def _path(self, job_id: str, suffix: str) -> str:
        return os.path.join(self._folder, f"{job_id}.{suffix}")

    def _save(self, job: Job) -> None:
        try:
            write_whole(self._path(job.id, "json"), json.dumps(job.described()).encode(), flush=False)
        except OSError as error:
            logger.error("can't write down job %s: %s", job.id, error.strerror)  # noqa: TRY400 - a sentence, no trace

    def _load(self) -> None:
        found = []
        for name in os.listdir(self._folder):
            job_id, _, suffix = name.partition(".")
            if suffix == "json":
                if (job := self._read(job_id)) is not None:
                    found.append(job)
            elif not os.path.exists(self._path(job_id, "json")):
                os.unlink(os.path.join(self._folder, name))
        for job in sorted(found, key=lambda one: one.started):
            self._jobs[job.id] = job
            if job.running:
                job.finish(f"the node was stopped before the job was done; {_extent(job)}", aborted=True)
                self._save(job)
            else:
                job.freeze()
        self._forget()

    def _read(self, job_id: str) -> Job | None:
        """A job from its file; None, and a line in the log, if that is damaged."""
        path = self._path(job_id, "json")
        try:
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            if fields["id"] != job_id or not isinstance(fields["started"], int):
                raise TypeError(f"it holds {fields!r}"[:200])  # noqa: TRY301
            return self._make(fields)
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s is damaged: %s; its job is not remembered; delete the file", path, why_damaged(error))
            return None

    def _forget(self) -> None:
        finished = self.find(running=False)
        for job in finished[: max(0, len(finished) - _KEPT)]:
            del self._jobs[job.id]
            for suffix in ("json", "counts"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(job.id, suffix))


class Failures:
    """A job's account of the objects that failed: the first one's error, and how many more. Any thread may add."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._first = ""
        self._count = 0
        self._mutex = threading.Lock()

    def note(self, error: InstoreError) -> None:
        """Add one."""
        with self._mutex:
            self._count += 1
            self._first = self._first or str(error)
            self._job.error = with_more(self._first, self._count - 1)


def with_more(first: str, others: int) -> str:
    """An error, and how many others there were, as AIStore says it."""
    return first + (f" (and {others} more error{'s' if others > 1 else ''})" if others > 0 else "")


def _extent(job: Job) -> str:
    done = job.done()
    return f"{done.objects} object{'' if done.objects == 1 else 's'} ({done.bytes} bytes) had been done"


def _bucket(fields: dict[str, str] | None) -> Bucket | None:
    return Bucket(**fields) if fields else None


def _new_id() -> str:
    alphabet = string.ascii_letters + string.digits
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(alphabet) for _ in range(8))
