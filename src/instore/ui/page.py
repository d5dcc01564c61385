"""`/ui`: the page's files, read once, and nothing else. No path reaches the file system."""

from importlib.resources import files

from instore.http.request import Request

PATH = "/ui"

_TYPES = {
    "css": b"text/css; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "json": b"application/json",
    "svg": b"image/svg+xml",
}
_POLICY = (
    # What an object holds is shown by img, audio and text, never run; and no page of elsewhere frames this one.
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)
_METHODS = ("GET", "HEAD")


class WebPage:
    """One page and the files it is made of.

    Args:
        name: of its HTML file, which `/ui` answers with.
        generated: further files beneath `/ui/`, by name.
    """

    def __init__(self, name: str, generated: dict[str, bytes] | None = None) -> None:
        folder = files("instore.ui") / "static"
        shipped = {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith(".html")}
        self._files = {f"{PATH}/{file}": body for file, body in {**shipped, **(generated or {})}.items()}
        self._main = (folder / name).read_bytes()

    async def serve(self, request: Request) -> None:
        """Answer a request for `/ui` or what is beneath it."""
        path = request.target.partition(b"?")[0].decode("latin-1")
        body = self._main if path == PATH else self._files.get(path)
        if request.method not in _METHODS:
            await _refuse(request, 405, f"{request.method} is not served here; the methods are {', '.join(_METHODS)}")
        elif path == f"{PATH}/":
            await request.respond(308, [(b"location", PATH.encode()), *_HEADERS], b"")
        elif body is None:
            await _refuse(request, 404, f"the page has no such file; it begins at {PATH}")
        else:
            kind = _TYPES["html" if path == PATH else path.rpartition(".")[2]]
            await request.respond(200, [(b"content-type", kind), *_HEADERS], body)


async def _refuse(request: Request, status: int, sentence: str) -> None:
    headers = [(b"allow", ", ".join(_METHODS).encode())] if status == 405 else []
    await request.respond(
        status, [(b"content-type", b"text/plain; charset=utf-8"), *headers, *_HEADERS], sentence.encode()
    )


def is_of_page(path: str) -> bool:
    """Whether a path is the page's or beneath it."""
    return path == PATH or path.startswith(f"{PATH}/")
