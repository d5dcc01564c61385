"""The page in front of a server of one class."""

import json
from collections.abc import Coroutine
from typing import Any

from instore.errors import ForbiddenOriginError, status_of
from instore.http.request import Request
from instore.server.app import ETLApplication
from instore.system.steps import Steps
from instore.ui.origin import check_origin
from instore.ui.page import WebPage, is_of_page
from instore.webserver.base_etl_server import ETLServer

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


def add_page(application: ETLApplication, cls: type[ETLServer]) -> None:
    """Have `GET /ui` answered by a page, whose browser is trusted no further; all else goes where it went."""
    about = (cls.__doc__ or "").strip().partition("\n\n")[0]
    page = WebPage("serve.html", {"about.json": json.dumps({"name": cls.__name__, "about": about}).encode()})
    serve_object = application.serve

    def serve(request: Request) -> Coroutine[Any, Any, None] | Steps:
        path = request.target.partition(b"?")[0].decode("latin-1")
        is_page = request.method in ("GET", "HEAD") and is_of_page(path)
        try:
            _check(request, is_page)
        except ForbiddenOriginError as error:
            return request.respond(status_of(error), _TEXT, str(error).encode(errors="replace"))
        return page.serve(request) if is_page else serve_object(request)

    application.serve = serve


def _check(request: Request, is_page: bool) -> None:
    """A target, which sends no origin, may name the server as it likes."""
    headers = {name: value.decode("latin-1") for name, value in request.headers}
    origin = headers.get(b"origin")
    if is_page or origin is not None:
        check_origin(headers.get(b"host", ""), origin)
