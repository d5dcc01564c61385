"""What the classes named after AIStore's servers have in common; each is a name over the one server that there is."""

import logging
import os
import sys

from instore.protocol.environment import INSTORE_PORT
from instore.webserver.base_etl_server import DEFAULT_HOST, DEFAULT_PORT, ETLServer

_LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"


class NamedServer(ETLServer):
    """A transform that knows where it listens, and whose log is on.

    Args:
        host: address that `start` listens on. Default: every one of the machine.
        port: port that `start` listens on. Default 8000.

    Raises:
        MissingTargetError: `AIS_TARGET_URL` is not set; an `OSError` too.
        ConfigurationError: the environment is unfit in another way.
    """

    def __init__(self, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
        super().__init__()
        # A node runs many servers on one machine, and gives each a port of its own.
        given = os.environ.get(INSTORE_PORT, "")
        self.host = "127.0.0.1" if given else host
        self.port = int(given) if given.isdigit() else port
        logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stdout)  # unless it is set up already
        self.logger.setLevel(logging.INFO)
