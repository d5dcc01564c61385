"""The ETL server in this process, for a debugger: one object at a time, in a thread that has the terminal to itself.

Nothing is timed: whoever looks at a variable may take as long as they like.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from instore.etl.communicator import Communicator
from instore.etl.http_communicator import HTTPCommunicator
from instore.http.http_connection import HTTPConnection
from instore.http.limits import Limits
from instore.http.server_state import ServerState
from instore.offline.output import Printed
from instore.offline.workers import private_folder
from instore.server.app import ETLApplication


class OwnProcess:
    """The only worker of a job; `Workers` that start it, too.

    Args:
        make_application: makes the user's object, and what serves it.
        environment: what it finds in its environment, which is ours until the job ends.
    """

    concurrency = 1

    def __init__(
        self,
        make_application: Callable[[], ETLApplication],
        environment: Mapping[str, str],
        printed: Printed | None = None,  # noqa: ARG002  # it prints to where we print
    ) -> None:
        self._make_application = make_application
        self._environment = environment
        self.pid = os.getpid()

    async def __aenter__(self) -> Self:
        self._before = dict(os.environ)
        os.environ.update(self._environment)
        self._folder = private_folder()
        self._socket = os.path.join(self._folder, "sock")
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.communicator: Communicator = HTTPCommunicator("http://worker", socket=self._socket)
        self._server: asyncio.Server | None = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.communicator.close()
        if self._server is not None:
            self._server.close()
            await self._application.stop()
        shutil.rmtree(self._folder)
        for name in self._environment:  # another job of this process has others
            if name in self._before:
                os.environ[name] = self._before[name]
            else:
                os.environ.pop(name, None)

    async def start(self) -> Self:
        """Serve."""
        self._application = self._make_application()
        await self._application.start()
        state = ServerState(self._application, Limits.read(os.environ))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: HTTPConnection(state), self._socket)
        return self

    async def discard(self, worker: Self) -> None:
        """It dies with us."""

    async def is_dead(self) -> bool:
        """It lives as long as we do."""
        return False

    async def give_up(self, reason: str) -> None:
        """Nothing is timed."""

    def how_it_died(self) -> str:
        """Nobody is left to ask."""
        return ""

    def last_lines(self, containing: str = "") -> list[str]:  # noqa: ARG002
        """Its log is on the terminal."""
        return []
