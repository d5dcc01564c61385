"""A folder of a web server, through urllib3: what its pages list, what is known of a file, a file's bytes.

urllib3 is an optional package. It tries a request again where that can help, and follows redirects, a few of them, to
other places of the web only; its errors become `RemoteStoreError`, in one sentence.
"""

import contextlib
import email.utils
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from instore.errors import ConfigurationError, RemoteStoreError
from instore.etl.communicator import PIECE
from instore.offline.remote_bucket import innermost, shown
from instore.system.backoff import backoff
from instore.system.printable import printable
from instore.system.threads import in_thread

WEB_SCHEMES = ("http", "https")

_THREADS = 16
_REDIRECTS = 5
_TRIES = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0  # seconds between tries
_CONNECT, _READ = 10.0, 120.0  # seconds without progress
_PASSING = (429, 500, 502, 503, 504)  # statuses that may pass
_OF_US = (401, 403, 429)  # statuses that another file's request would very likely get, too, as well as all from 500
_NO_HEAD = (405, 501)
_LARGEST_PAGE = 64 << 20  # bytes; some 500 000 names
_SAFE = "/~!$&'()*+,;=:@"


class WebFile(NamedTuple):
    """What is known of a file.

    Attributes:
        size: its bytes; -1: not known.
        tag: tells one version from another; empty: not known.
        modified: in nanoseconds of Unix time; 0: not known.
    """

    size: int
    tag: str
    modified: int


class WebFolder:
    """A folder, by its URL, which ends with a slash.

    Args:
        url: of the folder, or of a file in it.

    Attributes:
        url: where it is, once redirects have been followed.
        name: its last part; of a server's top, the server's name.

    Raises:
        ConfigurationError: a malformed URL, or no urllib3.
    """

    def __init__(self, url: str) -> None:
        parts = _split(url)
        try:
            import urllib3
        except ImportError as error:
            raise ConfigurationError(
                f"{printable(url)} needs urllib3 ({error}); run: pip install 'instore[cloud]'"
            ) from error
        self._urllib3 = urllib3
        self.url: str = urlunsplit((parts.scheme, parts.netloc, quote(parts.path or "/", safe=_SAFE + "%"), "", ""))
        again = urllib3.Retry(
            total=None,
            connect=_TRIES,
            read=_TRIES,
            status=_TRIES,
            redirect=_REDIRECTS,
            other=0,
            allowed_methods=("GET", "HEAD"),
            status_forcelist=_PASSING,
            backoff_factor=_FIRST_PAUSE,
            backoff_max=_LONGEST_PAUSE,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        options: dict[str, Any] = {
            "maxsize": _THREADS,
            "retries": again,
            "timeout": urllib3.Timeout(connect=_CONNECT, read=_READ),
            "headers": {"Accept-Encoding": "identity", "User-Agent": "instore"},
        }
        proxy = getproxies().get(parts.scheme)
        if proxy and not proxy_bypass(parts.hostname or ""):
            self._http: Any = urllib3.ProxyManager(proxy, **options)
        else:
            self._http = urllib3.PoolManager(**options)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="web")

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        return unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc

    def __str__(self) -> str:
        return shown(self.url.rstrip("/"))

    def enter(self) -> str:
        """Find out where the folder is; a blocking call.

        Returns:
            An empty text; the name of a file, if that is what its URL stands for.

        Raises:
            RemoteStoreError: it can't be reached, or there is nothing.
        """
        with contextlib.closing(self._ask("GET", self.url, "can't be looked at")) as answer:
            self._check(answer, f"{self} can't be looked at")
            folder, _, name = self._place(answer).rpartition("/")
            self.url = folder + "/"
            return "" if _is_page(answer) else unquote(name, errors="surrogateescape")

    def entries(self, folder: str) -> list[str]:
        """The names that the page of a folder lists, in order; those of folders end with a slash.

        A link counts if it leads to something that lies directly in the folder, and has no query.

        Args:
            folder: its name, which ends with a slash; empty: this one.

        Raises:
            RemoteStoreError: there is no page of it.
        """
        what = f"{self._url(folder)} can't be listed"
        with contextlib.closing(self._ask("GET", self._url(folder), "can't be listed")) as answer:
            self._check(answer, what)
            if not _is_page(answer):
                raise RemoteStoreError(f"{what}: it is no page of links")
            with self._errors(what):
                page = answer.read(_LARGEST_PAGE + 1)
        if len(page) > _LARGEST_PAGE:
            raise RemoteStoreError(f"{what}: its page is larger than {_LARGEST_PAGE >> 20} MiB")
        return sorted(set(_names(page.decode("utf-8", "replace"), self._place(answer))))

    def look(self, name: str) -> WebFile | None:
        """What is known of the file `name`; None if there is none. A blocking call."""
        what = f"{self._url(name)} can't be looked at"
        answer = self._ask("HEAD", self._url(name), "can't be looked at")
        if answer.status in _NO_HEAD:
            answer.close()
            answer = self._ask("GET", self._url(name), "can't be looked at")
        with contextlib.closing(answer):
            if answer.status in (404, 410) or urlsplit(self._place(answer)).path.endswith("/"):  # a folder's
                return None
            self._check(answer, what)
            return _known(answer)

    def look_at_all(self, names: list[str]) -> list[WebFile | RemoteStoreError | None]:
        """What is known of several files, in their order, or why it is not."""
        return list(self._pool.map(self._look_safely, names))

    async def in_thread(self, function: Any, *arguments: object) -> Any:
        """Run a blocking call in one of the folder's threads; see `in_thread`."""
        return await in_thread(self._pool, function, *arguments)

    def open(self, name: str, start: int, version: str) -> Any:
        """The answer to a GET of a file from byte `start` on, which is of `version`; a blocking call."""
        what = f"{self._url(name)} could not be read"
        headers = {"Range": f"bytes={start}-", "If-Range": version} if start else {}
        answer = self._ask("GET", self._url(name), "could not be read", headers)
        with contextlib.ExitStack() as undo:
            undo.enter_context(contextlib.closing(answer))
            self._check(answer, what)
            if start and not (answer.status == 206 and _begins_at(answer, start)):
                raise RemoteStoreError(f"{what}: it broke off after {start} bytes, and the rest can't be had")
            if "Content-Length" not in answer.headers and "chunked" not in answer.headers.get("Transfer-Encoding", ""):
                raise RemoteStoreError(f"{what}: the server says neither how long it is nor where it ends")
            undo.pop_all()
        return answer

    def read(self, name: str, answer: Any) -> bytes:
        """The next bytes of an answer; empty at its end."""
        with self._errors(f"{self._url(name)} broke off"):
            piece: bytes = answer.read(PIECE)
            return piece

    def _look_safely(self, name: str) -> WebFile | RemoteStoreError | None:
        try:
            return self.look(name)
        except RemoteStoreError as error:
            return error

    def _url(self, name: str) -> str:
        return self.url + quote(name, safe=_SAFE, errors="surrogateescape")

    def _place(self, answer: Any) -> str:
        """Where an answer comes from, once redirects have been followed."""
        place: str = answer.url or ""
        return urljoin(self.url, place)

    def _ask(self, method: str, url: str, what: str, headers: dict[str, str] | None = None) -> Any:
        with self._errors(f"{shown(url)} {what}"):
            common = self._http.headers
            return self._http.request(
                method, url, headers={**common, **(headers or {})}, preload_content=False, decode_content=False
            )

    def _check(self, answer: Any, what: str) -> None:
        if answer.status in (200, 206):
            return
        reason = f" {answer.reason}" if answer.reason else ""
        is_away = answer.status in _OF_US or answer.status >= 500
        raise RemoteStoreError(f"{what}: the server answered {answer.status}{reason}", is_away)

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        kinds = self._urllib3.exceptions
        try:
            yield
        except kinds.MaxRetryError as error:
            if isinstance(error.reason, kinds.ResponseError):
                raise RemoteStoreError(f"{what}: more than {_REDIRECTS} redirects") from error
            raise RemoteStoreError(f"{what}: {innermost(error)}", is_away=True) from error
        except kinds.URLSchemeUnknown as error:
            raise RemoteStoreError(f"{what}: a redirect leads to {error.scheme}://, which is not of the web") from error
        except (kinds.HTTPError, OSError) as error:
            raise RemoteStoreError(f"{what}: {innermost(error)}", is_away=True) from error


class WebObject:
    """A file's bytes, as a request's body: all of one version, or an error. What breaks off goes on where it did."""

    def __init__(self, folder: WebFolder, name: str) -> None:
        self.drained = False
        self._folder = folder
        self._name = name
        self._answer: Any = None
        self._version = ""
        self._length = -1
        self._came = 0

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        if self.drained:
            return b""
        piece: bytes = await self._folder.in_thread(self._take)
        return piece

    def _take(self) -> bytes:
        for attempt in range(_TRIES):
            try:
                return self._read()
            except RemoteStoreError as error:
                self._close()
                may_go_on = not self._came or self._version
                if not error.is_away or not may_go_on or attempt == _TRIES - 1:
                    raise
                time.sleep(backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE))
        raise AssertionError("the last try has raised")

    def _read(self) -> bytes:
        if self._answer is None:
            self._answer = self._folder.open(self._name, self._came, self._version)
            if not self._came:
                known = _known(self._answer)
                self._version, self._length = _version(self._answer), known.size
        piece = self._folder.read(self._name, self._answer)
        self._came += len(piece)
        self.drained = not piece or self._came == self._length
        if self.drained:
            self._answer.release_conn()
        return piece

    def _close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None


class _Links(HTMLParser):
    """Where a page's links lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _names(page: str, url: str) -> Iterator[str]:
    """What lies directly in the folder at `url`, of all that its page has links to."""
    links = _Links()
    links.feed(page)
    folder = urlsplit(url.rpartition("/")[0] + "/")
    above = [unquote(part) for part in folder.path.split("/")[:-1]]
    for link in links.found:
        try:
            place = urlsplit(urljoin(url, link))
        except ValueError:  # such as one with half an address in brackets
            continue
        *parts, last = place.path.removesuffix("/").split("/")
        is_beside = place[:2] == folder[:2] and [unquote(part) for part in parts] == above
        if is_beside and last and not place.query:
            yield unquote(last, errors="surrogateescape") + ("/" if place.path.endswith("/") else "")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in WEB_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not url.isprintable():
        raise ConfigurationError(f"{shown(url)} is no URL of a folder; expected http://HOST/FOLDER/")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{shown(url)} has a query; name a folder, and files with --files-from or --template")
    if parts.username is not None:
        raise ConfigurationError(f"{shown(url)} has a user's name in it; only what needs no sign-in is read")
    return parts


def _is_page(answer: Any) -> bool:
    kind: str = answer.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "text/html"


def _known(answer: Any) -> WebFile:
    length = answer.headers.get("Content-Length", "")
    changed = email.utils.parsedate_tz(answer.headers.get("Last-Modified", ""))
    modified = email.utils.mktime_tz(changed) * 10**9 if changed else 0
    return WebFile(int(length) if length.isdecimal() else -1, answer.headers.get("ETag", ""), modified)


def _version(answer: Any) -> str:
    """What a later request can ask the rest of; empty: nothing that is sure enough."""
    tag: str = answer.headers.get("ETag", "")
    changed: str = answer.headers.get("Last-Modified", "")
    return tag if tag and not tag.startswith("W/") else changed


def _begins_at(answer: Any, start: int) -> bool:
    said: str = answer.headers.get("Content-Range", "")
    return said.startswith(f"bytes {start}-")
