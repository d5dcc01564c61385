"""The page in front of a server of one class."""

import json

from instore.http.request import Request
from instore.ui.page import WebPage, is_of_page
from instore.webserver.base_etl_server import ETLServer


def add_page(server: ETLServer) -> None:
    """Have `GET /ui` answered by a page; every other request goes where it went."""
    cls, application = type(server), server.asgi_app
    about = (cls.__doc__ or "").strip().partition("\n\n")[0]
    page = WebPage("serve.html", {"about.json": json.dumps({"name": cls.__name__, "about": about}).encode()})
    serve_object = application.serve

    async def serve(request: Request) -> None:
        path = request.target.partition(b"?")[0].decode("latin-1")
        is_page = request.method in ("GET", "HEAD") and is_of_page(path)
        await (page.serve(request) if is_page else serve_object(request))

    application.serve = serve
