"""Which web page asks: one that came from the server that it asks, or one of elsewhere.

A page in a browser on this machine can reach a port of it, and by a name of its own that it lets point here even as the
same origin. So a request must name the host as an address or as localhost, and come from no other origin.
"""

import functools
import ipaddress
import re

from instore.errors import ForbiddenOriginError

_HOST = re.compile(r"(?:\[([0-9a-f:.%]+)\]|([^:\[\]]+))(?::\d*)?", re.IGNORECASE)


def check_origin(host: str, origin: str | None) -> None:
    """Refuse what a page of elsewhere may have caused.

    Args:
        host: the request's `Host`.
        origin: its `Origin`; None: it has none.
    """
    if not _is_local_name(host):
        raise ForbiddenOriginError(f"host {host!r} is neither an address nor localhost; name the server by its address")
    if origin is not None and origin.partition("://")[2] != host:
        raise ForbiddenOriginError(f"requests of web pages from {origin!r} are refused; open the server's own page")


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
