"""Addresses of servers: for a person, as URLs, and what they lead to."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Prefixes of IPv6 addresses whose last 32 bits are an IPv4 address: compatible, mapped, translated, NAT64.
_ENDS_IN_IPV4 = [ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")]


def host_and_port(host: str, port: int | str) -> str:
    """`HOST:PORT`; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int | str, tls: bool = False) -> str:
    """`http://HOST:PORT`, or `https://`."""
    return f"http{'s' if tls else ''}://{host_and_port(host, port)}"


def addresses_behind(text: str) -> list[Address]:
    """An address, and those of IPv4 that a gateway may make of it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    ends_in_ipv4 = any(address in network for network in _ENDS_IN_IPV4)
    inner = [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)] if ends_in_ipv4 else []
    return [address, *inner, *filter(None, [address.sixtofour]), *(address.teredo or ())]
