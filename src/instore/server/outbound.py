"""The outbound side of an ETL server: GET from the target, PUT to the next hop.

One pool a process, with the settings of the environment. Failures are mapped here, at the edge: a GET that fails is a
`TargetError`, a PUT that fails in a way that may pass is a `TransientError`.
"""

import ssl
from collections.abc import Mapping

from instore.errors import ConfigurationError, InvalidPipelineError, InvalidRequestError, TargetError
from instore.http.bodies import Body
from instore.http.client import FAILURES, Client, ClientResponse, UnaskableError, describe
from instore.http.connections import Check
from instore.protocol.environment import AIS_CLIENT_CA, AIS_CRT, AIS_CRT_KEY, Environment


class TransientError(Exception):
    """A PUT failed in a way that may pass; the cause says how."""


class Outbound:
    """The HTTP client of one process."""

    def __init__(self, environment: Environment, authorize: bool = True, check: Check | None = None) -> None:
        token = environment.authn_token if authorize else ""
        self._client = Client(
            environment.timeout,
            environment.max_conn,
            environment.keepalive_expiry,
            environment.direct_put_chunk_size,
            _ssl_context(environment),
            {"Authorization": f"Bearer {token}"} if token else None,
            check,
        )

    async def get(self, url: str, place: str = "the target") -> ClientResponse:
        """GET `url`, which is called `place` to a person."""
        try:
            return await self._client.request("GET", url, {})
        except UnaskableError as error:
            raise InvalidRequestError(f"{place} is not a URL that can be asked: {error}") from error
        except FAILURES as error:
            raise TargetError(f"can't reach {place}: {describe(error)}") from error

    async def put(self, url: str, output: Body, headers: Mapping[str, str]) -> ClientResponse:
        """PUT `output` to `url`; the length is announced where it is known, else the body is chunked."""
        try:
            return await self._client.request("PUT", url, headers, output)
        except UnaskableError as error:
            raise InvalidPipelineError(f"the pipeline entry is not a URL that can be asked: {error}") from error
        except FAILURES as error:
            raise TransientError(describe(error)) from error

    async def close(self) -> None:
        """Close every connection."""
        self._client.close()


def _ssl_context(environment: Environment) -> ssl.SSLContext | None:
    if not (environment.skip_verify or environment.client_ca or environment.crt):
        return None
    context = ssl.create_default_context()
    if environment.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if environment.client_ca:
            context.load_verify_locations(environment.client_ca)
        if environment.crt:
            context.load_cert_chain(environment.crt, environment.crt_key or None)
    except OSError as error:
        raise ConfigurationError(
            f"can't load the certificates of {AIS_CLIENT_CA}={environment.client_ca!r}, {AIS_CRT}={environment.crt!r}, "
            f"{AIS_CRT_KEY}={environment.crt_key!r}: {error}"
        ) from error
    return context
