"""Who may ask a node: whoever has its token, or without one whoever is no web page of elsewhere."""

import base64
import binascii
import hmac

from starlette.requests import Request

from instore.errors import ForbiddenOriginError, UnauthorizedError
from instore.node.request import PAGE_HEADER
from instore.protocol.environment import AIS_AUTHN_TOKEN
from instore.ui.origin import check_origin
from instore.ui.page import is_of_page

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
        try:
            check_origin(request.headers.get("host", ""), request.headers.get("origin"))
        except ForbiddenOriginError as error:
            raise ForbiddenOriginError(f"{error}, or start the node with a token") from None

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
