"""Addresses of servers, for a person and as URLs."""


def host_and_port(host: str, port: int | str) -> str:
    """`HOST:PORT`; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def http_url(host: str, port: int | str) -> str:
    """`http://HOST:PORT`."""
    return f"http://{host_and_port(host, port)}"
