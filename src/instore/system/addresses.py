"""Addresses of servers, as URLs."""


def http_url(host: str, port: int | str) -> str:
    """`http://HOST:PORT`; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
