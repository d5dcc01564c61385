"""Who may ask a node: whoever has its token, or without one whoever is no web page of elsewhere."""

import base64
import binascii
import functools
import hmac
import ipaddress
import re

from starlette.requests import Request

from instore.errors import ForbiddenOriginError, UnauthorizedError
from instore.node.request import PAGE_HEADER
from instore.protocol.environment import AIS_AUTHN_TOKEN
from instore.ui.page import is_of_page

_HOST = re.compile(r"(?:\[([0-9a-f:.%]+)\]|([^:\[\]]+))(?::\d*)?", re.IGNORECASE)
_BROWSER_CHALLENGE = 'Basic realm="instore node", charset="UTF-8"'


class Access:
    """The node's rule.

    Args:
        token: what requests must bear; empty: none.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def admit(self, request: Request) -> None:
        """Let in who has the token; without one, who is no web page of elsewhere.

        A page in a browser on this machine can reach a port of it, and by a name of its own that it lets point here
        even as the same origin. So without a token a request must name the host as an address or as localhost, and
        come from no other origin.

        A browser shows the token as the password of Basic, and then with every request, whichever page causes it. So
        that counts for the page's own files, and for what only the page can send: its header, which a page of elsewhere
        must ask for first, and is refused.
        """
        if self._token:
            by_browser = is_of_page(request.scope["path"]) or PAGE_HEADER in request.headers
            if not self._bears_token(request.headers.get("authorization", ""), by_browser):
                raise UnauthorizedError(
                    f"this node demands its token; set {AIS_AUTHN_TOKEN} to it for the client, or give it to the "
                    "browser as the password",
                    _BROWSER_CHALLENGE if by_browser else "Bearer",
                )
            return
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if not _is_local_name(host):
            raise ForbiddenOriginError(
                f"host {host!r} is neither an address nor localhost; name the node by its address"
            )
        if origin is not None and origin.partition("://")[2] != host:
            raise ForbiddenOriginError(
                f"requests of web pages from {origin!r} are refused; start the node with a token"
            )

    def _bears_token(self, authorization: str, by_browser: bool) -> bool:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(given.strip().encode(), self._token)
        if scheme.lower() == "basic" and by_browser:
            return hmac.compare_digest(_password(given), self._token)
        return False


def _password(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


@functools.lru_cache(1024)
def _is_local_name(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1] or match[2]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
