"""`FlaskServer`: AIStore's name for a transform served by any WSGI server, `gunicorn module:flask_app`."""

import functools
from typing import ClassVar

from instore.server.wsgi import WSGIApplication
from instore.webserver.base_etl_server import bind
from instore.webserver.named_server import NamedServer


class FlaskServer(NamedServer):
    """A transform whose `app` is a WSGI application.

    One runs at a time in a process; behind a WSGI server with threads, as many as it has threads. `start` and
    `instore serve` serve it without WSGI.

    Args and errors: as for `NamedServer`.
    """

    encodes_text: ClassVar[bool] = True  # as Flask does

    @functools.cached_property
    def app(self) -> WSGIApplication:
        """This transform as a WSGI application, for any WSGI server that runs in processes or threads."""
        return WSGIApplication(self, bind)
