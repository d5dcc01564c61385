"""Fetching what a URL names, for `POST /download` (docs/protocol.md#requests).

A server that fetches what it is told is a way in. So only http and https are served, no credential of ours goes along,
and addresses of this machine and of its link are refused, wherever they come from: the URL, a redirect, or a name
server that answers with them.
"""

import ipaddress
import socket
import string
from urllib.parse import quote, urljoin

from instore.errors import ForbiddenAddressError, TargetError
from instore.http.client import ClientResponse
from instore.protocol.environment import INSTORE_DOWNLOAD_LOCAL, Environment
from instore.protocol.names import without_user
from instore.server.outbound import Outbound
from instore.system.addresses import Address, addresses_behind

_AS_IT_IS = string.punctuation  # only what can't stand in a URL at all is escaped: spaces, other scripts
# This network, unique-local, site-local, and NAT64 within a site.
_LOCAL = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")))
_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)


class Downloads:
    """The client for other people's URLs."""

    def __init__(self, environment: Environment) -> None:
        check = None if environment.download_local else refuse_local
        self._outbound = Outbound(environment, authorize=False, check=check)

    async def get(self, url: str) -> ClientResponse:
        """GET `url`, through redirects."""
        for _ in range(_REDIRECTS + 1):
            url = quote(url, safe=_AS_IT_IS, errors="surrogateescape")
            if not url.startswith(("http://", "https://")):
                raise ForbiddenAddressError(f"{shown(url)}: only http and https URLs are fetched")
            response = await self._outbound.get(url, shown(url))
            if response.status not in _REDIRECT_STATUSES or "location" not in response.headers:
                return response
            await response.close()
            url = _redirected(url, response.headers["location"])
        raise TargetError(f"{shown(url)} is still a redirect after {_REDIRECTS} of them")

    async def close(self) -> None:
        """Close every connection."""
        await self._outbound.close()


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise TargetError(f"{shown(url)} redirects to what is not a URL") from error


def refuse_local(address: str, host: str) -> None:
    """Refuse `address`, to which `host` leads, if it is this machine's or its link's, or a unique-local one."""
    if any(_is_local(one) for one in addresses_behind(address)):
        raise ForbiddenAddressError(
            f"{host} is an address of this machine or its link, or a unique-local one; "
            f"{INSTORE_DOWNLOAD_LOCAL}=true would allow it"
        )


def _is_local(ip: Address) -> bool:
    by_kind = ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
    return by_kind or any(ip in network for network in _LOCAL) or _is_own(ip)


def _is_own(ip: Address) -> bool:
    """Whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
    return True


def shown(url: str) -> str:
    """The URL without its query, which may hold a signature, and without a user's name and password."""
    return repr(without_user(url).partition("#")[0].partition("?")[0])
