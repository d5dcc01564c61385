"""`FastAPIServer`: AIStore's name for a transform served by any ASGI server, `uvicorn module:fastapi_app`."""

from typing import ClassVar

from instore.webserver.named_server import NamedServer


class FastAPIServer(NamedServer):
    """A transform whose `app` is an ASGI application; one runs at a time in a process.

    Args and errors: as for `NamedServer`.
    """

    encodes_text: ClassVar[bool] = True  # as FastAPI does
