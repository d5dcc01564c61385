"""Certificates: those that this process shows, and those that it believes, as a client and as a server."""

import ssl
from collections.abc import Callable

from instore.errors import ConfigurationError
from instore.protocol.environment import AIS_CLIENT_CA, AIS_CRT, AIS_CRT_KEY, MUTUAL, Environment


def client_context(environment: Environment) -> ssl.SSLContext | None:
    """What the outbound client does where the defaults don't do."""
    if not (environment.skip_verify or environment.client_ca or environment.crt):
        return None
    context = ssl.create_default_context()
    if environment.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if environment.client_ca:
        _load(environment, lambda: context.load_verify_locations(environment.client_ca))
    if environment.crt:
        _load(environment, lambda: context.load_cert_chain(environment.crt, environment.crt_key or None))
    return context


def server_context(environment: Environment) -> ssl.SSLContext | None:
    """What this server shows its clients, and wants of them; None: it does not speak TLS."""
    if not environment.tls:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(environment, lambda: context.load_cert_chain(environment.crt, environment.crt_key or None))
    if environment.tls == MUTUAL:
        context.verify_mode = ssl.CERT_REQUIRED
        _load(environment, lambda: context.load_verify_locations(environment.client_ca))
    return context


def _load(environment: Environment, load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:
        raise ConfigurationError(
            f"can't load the certificates of {AIS_CLIENT_CA}={environment.client_ca!r}, {AIS_CRT}={environment.crt!r}, "
            f"{AIS_CRT_KEY}={environment.crt_key!r}: {error}"
        ) from error
