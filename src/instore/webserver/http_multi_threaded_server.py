"""`HTTPMultiThreadedServer`: AIStore's name for a transform that runs in a thread for each request."""

from typing import ClassVar

from instore.webserver.named_server import NamedServer
from instore.webserver.pool import THREAD_PER_REQUEST


class HTTPMultiThreadedServer(NamedServer):
    """A transform that runs for many requests at once, and gets its `path` as it came: escaped, with its slash.

    Args and errors: as for `NamedServer`.
    """

    concurrency: ClassVar[int] = THREAD_PER_REQUEST
    wants_raw_path: ClassVar[bool] = True
