"""Putting a result to the next hop, and what we answer in turn (docs/protocol.md#pipelines-and-direct-put).

The table of `protocol.answers` says what the next hop's answer means. A transient failure is tried again, with the
output made again; a streamed body that came in the request itself can't be, and the target is told to replay it.
"""

import asyncio
from dataclasses import dataclass, field

from instore.errors import DirectPutError, ETLDirectPutTransientError
from instore.http.bodies import Body
from instore.http.client import FAILURES, ClientResponse, describe
from instore.protocol.environment import Environment
from instore.protocol.headers import (
    DIRECT_PUT_LENGTH,
    NODE_URL,
    REQUEST_ID,
    RESULTS_TYPE,
    RETRY_REASON,
    SKIPPED_OBJECT,
)
from instore.protocol.pipeline import Hop, direct_put_url, ends_at_target, hop_of
from instore.protocol.requests import ObjectRequest
from instore.protocol.responses import NextHopOutcome, judge
from instore.server.entry import AccessLogEntry
from instore.server.held import HeldStream
from instore.server.outbound import Outbound, TransientError
from instore.server.results import PendingResult
from instore.server.spans import Spans
from instore.system.backoff import backoff

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between tries


@dataclass(slots=True)
class Response:
    """What we answer.

    Attributes:
        status: HTTP status.
        output: the body.
        content_type: the body's; empty when there is none to tell.
        headers: others.
        response: the next hop's answer, if the body comes from it.
        held: where the body is held, if it is in a file.
    """

    status: int
    output: Body
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    response: ClientResponse | None = None
    held: HeldStream | None = None

    @property
    def holds(self) -> bool:
        """Whether the body comes from something that has to be released."""
        return self.response is not None or self.held is not None

    async def close(self) -> None:
        """Release what the body comes from."""
        if self.response is not None:
            await self.response.close()
        if self.held is not None:
            await self.held.close()


class DirectPut:
    """Puts results to the next hops of their pipelines."""

    def __init__(self, environment: Environment, outbound: Outbound, tracing: Spans | None) -> None:
        self._environment = environment
        self._tracing = tracing
        self._outbound = outbound

    async def put(
        self, request: ObjectRequest, result: PendingResult, mime_type: str, entry: AccessLogEntry
    ) -> Response:
        """Put the result of `result` to the request's next hop; `entry` is told what was put, and how often."""
        url = direct_put_url(request.next_url, self._environment.target_url, request.path, request.etl_args)
        headers = {REQUEST_ID: entry.id}
        if request.pipeline:
            headers[NODE_URL] = request.pipeline
        if self._tracing is not None:
            self._tracing.inject(entry, headers)
        retries = self._environment.direct_put_retries if result.replayable else 0
        while True:
            try:
                output = await result.begin()
                if result.content_type == RESULTS_TYPE:  # whoever asked takes them, and no next hop could
                    return Response(200, output, RESULTS_TYPE)
                headers["Content-Type"] = result.content_type or mime_type
                response = self._without_secrets(await self._attempt(request, url, output, headers))
            except TransientError as error:
                if not result.replayable:
                    raise ETLDirectPutTransientError(request.next_url, error, bail_without_local_retry=True) from error
                if entry.retries == retries:
                    raise DirectPutError(
                        f"could not put {request.path!r} to {request.next_url} in {retries + 1} attempts: {error}"
                    ) from error
            else:
                if response.response is not None and response.status < 400:
                    entry.put = _bytes_put(output, response.response)
                return response
            await result.end()
            await asyncio.sleep(backoff(entry.retries, _FIRST_PAUSE, _LONGEST_PAUSE))
            entry.retries += 1

    def _without_secrets(self, response: Response) -> Response:
        """A failure's text is the next hop's own, and a target may well quote the URL that it was asked."""
        if response.status >= 400:
            text = response.output.first.decode(errors="surrogateescape")
            response.output.first = self._environment.redact(text).encode(errors="surrogateescape")
        return response

    async def _attempt(self, request: ObjectRequest, url: str, output: Body, headers: dict[str, str]) -> Response:
        response = await self._outbound.put(url, output, headers)
        try:
            return await _taken(request, output, response)
        except BaseException:
            await response.close()
            raise


async def _taken(request: ObjectRequest, output: Body, response: ClientResponse) -> Response:
    try:
        body = await Body.begin(response)
    except FAILURES as error:
        raise TransientError(describe(error)) from error
    hop = hop_of(request.next_url)
    verdict = judge(hop, response.status, bool(body.first))
    if verdict in (NextHopOutcome.DELIVERED, NextHopOutcome.PASSED_ON) and hop is Hop.TARGET and response.early:
        verdict = NextHopOutcome.UNEXPECTED  # nobody can have stored what was not sent
    if verdict is NextHopOutcome.PASSED_ON and not ends_at_target(request.next_url, request.pipeline):
        verdict = NextHopOutcome.UNEXPECTED  # nobody was asked to store it
    match verdict:
        case NextHopOutcome.DELIVERED:
            sent = _bytes_put(output, response)
            return Response(204, body, headers={DIRECT_PUT_LENGTH: str(sent)} if sent else {}, response=response)
        case NextHopOutcome.PASSED_ON:
            return Response(204, body, headers=_forwarded(response, DIRECT_PUT_LENGTH), response=response)
        case NextHopOutcome.CONTENT | NextHopOutcome.FAILED:
            content_type = response.headers.get("content-type", "")
            passed_on = _forwarded(response, RETRY_REASON) | _forwarded(response, SKIPPED_OBJECT)
            return Response(response.status, body, content_type, passed_on, response)
        case NextHopOutcome.UNEXPECTED:
            raise DirectPutError(
                f"the {hop.value} {request.next_url} answered {response.status} to the put of {request.path!r}, "
                f"which is neither a result nor a failure: {body.first[:200].decode(errors='replace')!r}"
            )


def _bytes_put(output: Body, response: ClientResponse) -> int:
    return len(output.first) if response.upload is None else response.upload.sent


def _forwarded(response: ClientResponse, name: str) -> dict[str, str]:
    value = response.headers.get(name.lower())
    return {} if value is None else {name: value}
