"""Fetching what a URL names, for `POST /download` (protocol section 3).

A server that fetches what it is told is a way in. So only http and https are served, no credential of ours goes along,
and addresses of this machine and of its link are refused, wherever they come from: the URL, a redirect, or a name
server that answers with them.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from instore.errors import ForbiddenAddressError, InvalidRequestError, TargetError
from instore.protocol.environment import Environment
from instore.webserver.client import FAILURES, Response, describe

_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)


class Downloads:
    """The client for other people's URLs. Its session is opened by the first download.

    Args:
        environment: time-out, pool size, and whether local addresses are allowed.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Response:
        """GET `url`, through redirects.

        Raises:
            InvalidRequestError: `url` is not a URL.
            ForbiddenAddressError: not http or https, or an address that is not allowed.
            TargetError: it can't be reached, or redirects without end.
        """
        if self._session is None:
            self._session = self._open()
        for _ in range(_REDIRECTS + 1):
            self._check(url)
            response = await self._get(self._session, url)
            if response.status not in _REDIRECT_STATUSES or "Location" not in response.headers:
                return Response(response, self._environment, None)
            url = urljoin(url, response.headers["Location"])
            response.close()
        raise TargetError(f"{_shown(url)} is still a redirect after {_REDIRECTS} of them")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _get(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self._environment.timeout):
                return await session.get(url, allow_redirects=False)
        except (aiohttp.InvalidURL, ValueError) as error:
            raise InvalidRequestError(f"{_shown(url)} is not a URL that can be asked") from error
        except FAILURES as error:
            raise TargetError(f"can't reach {_shown(url)}: {describe(error)}") from error

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError as error:
            raise InvalidRequestError(f"{url!r} is not a URL: {error}") from error
        if parts.scheme not in ("http", "https"):
            raise ForbiddenAddressError(f"{_shown(url)}: only http and https URLs are fetched")
        if not host:
            raise InvalidRequestError(f"{url!r} names no host")
        if not self._environment.download_local:
            refuse_local(host, host)

    def _open(self) -> aiohttp.ClientSession:
        environment = self._environment
        resolver = None if environment.download_local else _GuardedResolver()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=environment.max_conn, resolver=resolver, use_dns_cache=False),
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=environment.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class _GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one that leads to this machine or its link."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            refuse_local(result["host"], host)
        return results

    async def close(self) -> None:
        await self._resolver.close()


def refuse_local(address: str, host: str) -> None:
    """Refuse `address`, to which `host` leads, if it is this machine's or its link's. A name passes: it is resolved.

    Raises:
        ForbiddenAddressError: it is.
    """
    ip = _ip(address)
    if ip is None:
        return
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast or _is_own(ip):
        raise ForbiddenAddressError(
            f"{host} is an address of this machine or its link; INSTORE_DOWNLOAD_LOCAL=true would allow it"
        )


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in any form that a socket would take, `127.1` and `2130706433` included; None for a name."""
    try:
        return ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(address))
        except OSError:
            return None


def _is_own(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
    return True


def _shown(url: str) -> str:
    """The URL without its query, which may hold a signature."""
    return repr(url.partition("?")[0])
