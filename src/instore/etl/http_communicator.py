"""Requests to an ETL server over HTTP: hpush, by file or body, and hpull."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from instore.errors import AnswerError, IncompleteAnswerError, skip_of
from instore.etl.communicator import PIECE, TransformRequest, TransformResponse
from instore.etl.object_groups import GroupedAnswer, ObjectGroups
from instore.http.bodies import Body
from instore.http.client import Client, ClientResponse, UnaskableError, describe
from instore.http.limits import SMALL
from instore.protocol.headers import (
    ARGUMENTS_PATH,
    DEFAULT_MIME_TYPE,
    GROUPS,
    NODE_URL,
    OBJECT_INFO,
    RESULTS,
    RESULTS_TYPE,
    RETRY_REASON,
    SKIPPED_OBJECT,
)
from instore.protocol.requests import object_target, pull_target
from instore.protocol.responses import LONGEST_ERROR, ResponseMeaning, error_text, read_response

_MOST_CONNECTIONS = 1024
_LONGEST_SCHEMA = 1 << 20
_Response = ClientResponse | GroupedAnswer
_IDLE = 2.0  # seconds; servers drop idle connections after 5 s (as is usual), and none is used as it is being closed


class HTTPCommunicator:
    """Talks HTTP: `hpush://`, or `hpull://` with `pull`."""

    def __init__(self, base: str, timeout: float = float("inf"), pull: bool = False, socket: str = "") -> None:
        self._base = base
        self._pull = pull
        self._client = Client(timeout, _MOST_CONNECTIONS, _IDLE, PIECE, socket=socket)
        self._groups = ObjectGroups(Client(timeout, _MOST_CONNECTIONS, _IDLE, 1, socket=socket), base)
        self._takes_groups = False

    async def send(self, request: TransformRequest) -> TransformResponse | None:
        """Have one object transformed; see `Communicator`."""
        response = await self._request(request)
        has_results = request.takes_results and response.headers.get("content-type") == RESULTS_TYPE
        delivers = request.delivers and not has_results
        try:
            reading = read_response(response.status, response.headers.get(RETRY_REASON.lower(), ""))
            if reading is ResponseMeaning.OBJECT and not delivers:
                return HTTPTransformResponse(response)
            if reading is ResponseMeaning.DELIVERED and delivers:
                await _read_to_end(response)
                return None
            if reading is ResponseMeaning.REPLAY:
                raise IncompleteAnswerError(f"a direct put failed: {await _text(response)}")
            if SKIPPED_OBJECT.lower() in response.headers:
                raise skip_of(await _text(response))
            raise AnswerError(await _explain(response, reading, delivers), response.status)
        finally:
            if reading is not ResponseMeaning.OBJECT or delivers:
                await response.close()

    async def health(self) -> Mapping[str, str] | None:
        """The headers of the answer to `/health`; None if it isn't well."""
        try:
            response = await self._client.request("GET", f"{self._base}/health", {})
        except OSError:
            return None
        await response.close()
        self._takes_groups = GROUPS.lower() in response.headers
        return response.headers if response.status == 200 else None

    async def arguments(self) -> dict[str, Any] | None:
        """The JSON Schema of the arguments of a server of ours; None where they are a text, or it does not say."""
        text = b""
        try:
            response = await self._client.request("GET", f"{self._base}{ARGUMENTS_PATH}", {})
            try:
                while len(text) <= _LONGEST_SCHEMA and (data := await response.take()):
                    text += data
            finally:
                await response.close()
            told = json.loads(text) if response.status == 200 else None
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    async def close(self) -> None:
        """Close every connection."""
        self._groups.close()
        self._client.close()

    async def _request(self, request: TransformRequest) -> _Response:
        is_grouped = request.is_small and self._takes_groups
        if is_grouped and request.body is None:
            return await self._groups.ask(request)
        headers = {NODE_URL: request.pipeline} if request.pipeline else {}
        if request.takes_results:
            headers[RESULTS] = "true"
        body = None
        try:
            if self._pull:
                return await self._client.request(
                    "GET", self._base + pull_target(request.uname, request.etl_args), headers
                )
            info: dict[str, object] = {"seconds": request.seconds} if request.seconds else {}
            if request.body is not None:
                stream = request.body()
                body = await Body.begin(stream)
                info |= getattr(stream, "info", {})
                if is_grouped and body.rest is None and len(body.first) <= SMALL:
                    return await self._groups.ask(request, body.first, json.dumps(info) if info else "")
            if info:
                headers[OBJECT_INFO] = json.dumps(info)
            target = object_target(request.path, request.fqn if body is None else "", request.etl_args)
            return await self._client.request("PUT", self._base + target, headers, body)
        except UnaskableError as error:
            raise AnswerError(f"its name can't stand in a request: {error}") from error
        except OSError as error:
            raise IncompleteAnswerError("the answer broke off after 0 bytes", describe(error)) from error


class HTTPTransformResponse:
    """The body of an HTTP answer as the object; see `TransformResponse`."""

    def __init__(self, response: _Response) -> None:
        length = response.headers.get("content-length", "")
        self.content_type = response.headers.get("content-type") or DEFAULT_MIME_TYPE
        self.length = int(length) if length.isdigit() else None
        self._response = response

    async def pieces(self) -> AsyncIterator[bytes]:
        """The object; see `TransformResponse`."""
        try:
            while piece := await self._response.take():
                yield piece
        except OSError as error:
            came = f"the answer broke off after {self._response.received} bytes"
            raise IncompleteAnswerError(came, describe(error)) from error

    async def close(self) -> None:
        """Be done with it."""
        await self._response.close()


async def _explain(response: _Response, reading: ResponseMeaning, delivers: bool) -> str:
    """Why an answer is not what was expected: its text, if it is an error."""
    if reading is not ResponseMeaning.ERROR:
        what = "that it is delivered was" if delivers else "the object was"
        return f"the server answered {response.status} where {what} expected"
    return await _text(response) or f"the server answered {response.status} without saying why"


async def _text(response: _Response) -> str:
    text = b""
    try:
        while len(text) < LONGEST_ERROR and (data := await response.take()):
            text += data
    except OSError:
        text += b" (the text broke off)"
    return error_text(text)


async def _read_to_end(response: _Response) -> None:
    try:
        while await response.take():
            pass
    except OSError as error:
        raise IncompleteAnswerError("the answer broke off", describe(error)) from error
