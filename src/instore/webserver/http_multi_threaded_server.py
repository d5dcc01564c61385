"""`HTTPMultiThreadedServer`: AIStore's name for a transform that runs in a thread for each request."""

from typing import ClassVar

from instore.server.thread_pool import THREAD_PER_REQUEST
from instore.webserver.named_server import NamedServer

_OFFERED = 8  # whoever may choose sends no more: what is beyond keeps no core busy, and its results fill memory


class HTTPMultiThreadedServer(NamedServer):
    """A transform that runs for many requests at once, and gets its `path` as it came: escaped, with its slash.

    Args and errors: as for `NamedServer`.
    """

    concurrency: ClassVar[int] = THREAD_PER_REQUEST
    wants_raw_path: ClassVar[bool] = True

    @property
    def offered_concurrency(self) -> int:
        """Some, where `concurrency` is only a bound that no target should meet."""
        return min(_OFFERED, self.concurrency)
