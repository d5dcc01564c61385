"""The outbound side of an ETL server: GET from the target, PUT to the next hop.

One pool a process, with the settings of the environment. Failures are mapped here, at the edge: a GET that fails is a
`TargetError`, a PUT that fails in a way that may pass is a `TransientError`.
"""

from collections.abc import Mapping

from instore.errors import InvalidPipelineError, InvalidRequestError, TargetError
from instore.http.bodies import Body
from instore.http.client import FAILURES, Client, ClientResponse, UnaskableError, describe
from instore.http.connections import Check
from instore.protocol.environment import Environment
from instore.server.certificates import client_context


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
            client_context(environment),
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
