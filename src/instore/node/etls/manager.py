"""ETLs from init to deletion: Initializing, Running, Aborted (docs/protocol.md#initialising-an-etl).

Every change of an ETL holds its lock, so that a start and a stop never run into each other. What a client has been told
is on the disk before. When the node starts again, an ETL that was running is started again; an aborted one stays so.
"""

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from instore.errors import (
    ConfigurationError,
    ETLAbortedError,
    ETLExistsError,
    ETLNotFoundError,
    ETLStageError,
    InstoreError,
    InvalidRequestError,
    WorkerError,
)
from instore.etl.images import Images
from instore.etl.pod import Pod, Site
from instore.node.cluster import Cluster, Target
from instore.node.etls.records import ETLRecord, Records
from instore.protocol.etl_spec import ETLSpec, Stage
from instore.system.printable import printable

logger = logging.getLogger("instore")

STOPPED = "it was stopped"
DELETED = "it was deleted"
OBJECT_PATH = "/v1/etl/_object/"
"""Where pods get objects and put them: followed by `<etl-name>/<secret>/<uname>`."""


@dataclass(slots=True)
class ETLCounters:
    """What has gone through an ETL since the node was started."""

    objects: int = 0
    in_bytes: int = 0
    out_bytes: int = 0


class ETL:
    """One ETL.

    Attributes:
        spec: what it is to be.
        id: of the job that it is to a client.
        stage: where it is in its life.
        reason: why it is aborted; else empty.
        secret: what its servers show when they ask a target for objects; another one for each start.
        pods: its servers by target, while it runs.
        tally: what has gone through it.
        lock: is held while it changes.
        settled: set while it is not starting.
        called_off: why its start is to be given up; else empty.
        starting: the start of its servers, while that goes on.
    """

    def __init__(self, spec: ETLSpec, etl_id: str, stage: Stage = Stage.INITIALIZING, reason: str = "") -> None:
        self.spec = spec
        self.id = etl_id
        self.stage = stage
        self.reason = reason
        self.secret = secrets.token_hex(16)
        self.pods: dict[str, Pod] = {}
        self.counters = ETLCounters()
        self.lock = asyncio.Lock()
        self.settled = asyncio.Event()
        self.cancelled = ""
        self.starting: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    def aborted(self) -> ETLAbortedError:
        """The error for who wants it to work while it doesn't."""
        return ETLAbortedError(f"etl {self.name} is {self.stage.value}: {self.reason or 'it is being started'}")

    def cancel(self, reason: str) -> None:
        """Have its start given up, if it is starting: whoever waits for that is told the reason."""
        if self.stage is Stage.INITIALIZING:
            self.cancelled = reason
            if self.starting is not None:
                self.starting.cancel()


@dataclass
class ETLManager:
    """All ETLs of a node."""

    cluster: Cluster
    images: Images
    _etls: dict[str, ETL] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.records = Records(self.cluster.folder.path)
        self._parent, self._we_live = os.pipe()
        os.set_inheritable(self._we_live, False)

    # The node's own life

    async def open(self) -> None:
        """Load the ETLs that were there, and begin to start those that were running."""
        for record, spec, stage in self.records.load():
            if stage is Stage.INITIALIZING:
                self.records.remove(spec.name)  # the node died before it could tell anyone that there is such an ETL
                continue
            etl = self._etls[spec.name] = ETL(spec, record.id, stage, record.reason)
            if etl.stage is Stage.ABORTED:
                etl.settled.set()
            else:
                etl.stage = Stage.INITIALIZING
                self._in_background(self._restart(etl))

    async def close(self) -> None:
        """End all servers; their ETLs start again with the node."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop_pods(etl) for etl in self._etls.values()))
        os.close(self._we_live)
        os.close(self._parent)

    def totals(self) -> dict[str, tuple[int, int]]:
        """Of each ETL: objects, and bytes of results. From any thread."""
        return {etl.name: (etl.counters.objects, etl.counters.out_bytes) for etl in list(self._etls.values())}

    # What clients ask for

    async def init(self, spec: ETLSpec) -> ETL:
        """Make an ETL and wait until its servers are ready. If they never are, it stays, aborted."""
        if spec.name in self._etls:
            raise ETLExistsError(f"etl job {spec.name!r} already exists; delete it first, or take another name")
        self.images.check(spec)
        etl = self._etls[spec.name] = ETL(spec, "etl-" + secrets.token_urlsafe(6))
        async with etl.lock:
            try:
                await self.cluster.disk(self._save, etl)
                await self._bring_up(etl)
                await self._become(etl, Stage.RUNNING)
            except BaseException as error:
                await self._stop_pods(etl)
                if etl.cancelled or isinstance(error, Exception):
                    await self._become(etl, Stage.ABORTED, etl.cancelled or f"it could not be initialised: {error}")
                else:  # nobody has been told that there is such an ETL
                    etl.stage, etl.reason = Stage.ABORTED, "it could not be initialised"
                    etl.settled.set()
                    self._etls.pop(spec.name, None)
                    self.records.remove(spec.name)
                if isinstance(error, InstoreError | OSError) and not isinstance(error, InvalidRequestError):
                    raise ETLStageError(f"etl {spec.name} can't be initialised: {error}") from error
                raise
        return etl

    async def start(self, name: str) -> None:
        """Start an ETL that is aborted."""
        etl = self.get(name)
        async with etl.lock:
            self._check_there(etl)
            if etl.stage is not Stage.ABORTED:
                raise ETLStageError(f"etl {name} is {etl.stage.value} already")
            etl.stage, etl.reason, etl.cancelled = Stage.INITIALIZING, "", ""
            etl.settled.clear()
            await self._start(etl)

    async def stop(self, name: str) -> None:
        """Stop an ETL, also one that is just starting; one that is aborted already stays as it is."""
        etl = self.get(name)
        etl.cancel(STOPPED)
        async with etl.lock:
            self._check_there(etl)
            if etl.stage is not Stage.ABORTED:
                await self._become(etl, Stage.ABORTED, STOPPED)
                await self._stop_pods(etl)

    async def delete(self, name: str) -> None:
        """Delete an ETL, whatever it is doing: that is given up then."""
        etl = self.get(name)
        etl.cancel(DELETED)
        async with etl.lock:
            self._check_there(etl)
            if etl.stage is not Stage.ABORTED:
                await self._become(etl, Stage.ABORTED, DELETED)
                await self._stop_pods(etl)
            del self._etls[name]
            await self.cluster.disk(self.records.remove, name)

    def get(self, name: str) -> ETL:
        """An ETL by its name."""
        etl = self._etls.get(name)
        if etl is None:
            raise ETLNotFoundError(f"etl job {name!r} does not exist")
        return etl

    def all(self) -> list[ETL]:
        """All of them, in the order of their making."""
        return list(self._etls.values())

    def admitted(self, name: str, secret: str) -> bool:
        """Whether a server that shows `secret` is one of the ETL `name`."""
        etl = self._etls.get(name)
        works = etl is not None and etl.stage is not Stage.ABORTED
        expected = etl.secret if etl is not None and works else secrets.token_hex(16)
        return hmac.compare_digest(secret.encode(errors="replace"), expected.encode())

    # For those who transform

    async def running(self, names: Sequence[str]) -> list[ETL]:
        """The ETLs of a pipeline, when all of them run; one that is just starting is waited for."""
        etls = [self.get(name) for name in names]
        for etl in etls:
            await etl.settled.wait()
            if etl.stage is not Stage.RUNNING:
                raise etl.aborted()
        for etl in etls[:-1]:
            if not etl.spec.direct_put:
                raise InvalidRequestError(
                    f"etl {etl.name} was initialised without direct put, so it can't hand its results to the next ETL "
                    "of a pipeline; initialise it with direct_put=True"
                )
        return etls

    def pod(self, etl: ETL, target: Target) -> Pod:
        """The server of an ETL beside a target."""
        pod = etl.pods.get(target.id)
        if pod is not None and pod.exited.done():
            self.note_death(etl, target, pod)
        if pod is None or etl.stage is not Stage.RUNNING:
            raise WorkerError(str(etl.aborted()))
        return pod

    # Inside

    def _check_there(self, etl: ETL) -> None:
        if self._etls.get(etl.name) is not etl:
            raise ETLNotFoundError(f"etl job {etl.name!r} does not exist any more")

    async def _restart(self, etl: ETL) -> None:
        async with etl.lock:
            try:
                await self._start(etl)
            except (InstoreError, OSError) as error:
                logger.warning("%s", error)

    async def _start(self, etl: ETL) -> None:
        """Start the servers of an ETL that is initializing; if that fails it is aborted."""
        etl.secret = secrets.token_hex(16)
        try:
            await self._bring_up(etl)
            await self._become(etl, Stage.RUNNING)
        except BaseException as error:
            await self._stop_pods(etl)
            if isinstance(error, asyncio.CancelledError):
                raise
            await self._become(etl, Stage.ABORTED, etl.cancelled or f"it could not be started: {error}")
            raise ETLStageError(f"etl {etl.name} can't be started: {error}") from error

    async def _bring_up(self, etl: ETL) -> None:
        """Start the servers of an ETL, unless that is called off."""
        etl.starting = asyncio.create_task(self._start_pods(etl))
        if etl.cancelled:
            etl.starting.cancel()
        try:
            await etl.starting
        except asyncio.CancelledError:
            if etl.cancelled:
                raise ETLStageError(etl.cancelled) from None
            raise
        finally:
            etl.starting = None

    async def _start_pods(self, etl: ETL) -> None:
        sites = {target.id: self._site(etl, target) for target in self.cluster.targets}
        starts = [asyncio.ensure_future(Pod.start(etl.spec, site, self.images)) for site in sites.values()]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            raise
        finally:
            done = {target: start for target, start in zip(sites, starts, strict=True) if start.done()}
            etl.pods = {
                target: start.result()
                for target, start in done.items()
                if not start.cancelled() and start.exception() is None
            }
        for target, pod in etl.pods.items():
            self._in_background(self._watch(etl, target, pod))

    async def _stop_pods(self, etl: ETL) -> None:
        pods, etl.pods = list(etl.pods.values()), {}
        await asyncio.gather(*(pod.stop() for pod in pods))

    async def _watch(self, etl: ETL, target: str, pod: Pod) -> None:
        """Abort an ETL one of whose servers dies."""
        await asyncio.wait({pod.exited})
        if etl.pods.get(target) is not pod:
            return  # it was stopped
        self.note_death(etl, self.cluster.target(target), pod)
        async with etl.lock:
            if etl.pods.get(target) is pod:
                await self._become(etl, Stage.ABORTED, etl.reason)
                await self._stop_pods(etl)

    def note_death(self, etl: ETL, target: Target, pod: Pod) -> None:
        """A server has died: from now on, nothing more is asked of its ETL, and who asks is told why."""
        if etl.stage is not Stage.RUNNING or etl.pods.get(target.id) is not pod:
            return
        lines = pod.last_lines()
        last = f"its last log line: {printable(lines[-1])}" if lines else "its log is empty"
        etl.stage = Stage.ABORTED
        etl.reason = f"its server beside target {target.id} {pod.how_it_died()}; {last}"
        logger.warning("etl %s is aborted: %s", etl.name, etl.reason)

    async def _become(self, etl: ETL, stage: Stage, reason: str = "") -> None:
        etl.stage, etl.reason = stage, reason
        etl.settled.set()
        await self.cluster.disk(self._save, etl)

    def _save(self, etl: ETL) -> None:
        try:
            self.records.save(etl.name, ETLRecord(etl.id, etl.spec.message, etl.stage.value, etl.reason))
        except OSError as error:
            raise ConfigurationError(f"can't write down etl {etl.name}: {error.strerror}") from error

    def _site(self, etl: ETL, target: Target) -> Site:
        return Site(
            target=target.id,
            target_url=f"{target.url}{OBJECT_PATH}{etl.name}/{etl.secret}",
            folder=self.records.folder,
            packages=self.records.packages(etl.name),
            parent=self._parent,
        )

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
