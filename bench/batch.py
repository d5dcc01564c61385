"""Batches: a model that takes 32 texts at once against one by one and against LitServe; an echo against its batches."""

import base64
import http.client
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from bench.load import Request, wrk
from bench.peers import INSTORE, LIT_MODEL, MODEL, install
from bench.processes import BenchError
from bench.site import HOST, Server, Site, WrongAnswerError
from tests.support.environments import LITSERVE

TEXT = "shoes"  # as people tag and search: the shorter a text, the more a batch brings
SIZE = 32
CONNECTIONS = 2 * SIZE  # one batch in the model, one that fills
_ALIKE = 0.99  # cosine of two embeddings of one text by weights of 8 bits
_WINDOW = 1.0  # seconds: what else the machine does falls on all that are compared


@dataclass(frozen=True)
class _Side:
    """A server, and the request that is put to it."""

    server: Server
    request: Request


def embeddings(site: Site, warm_up: float, seconds: float) -> Sequence[float]:
    """Texts per second in batches, one by one and by LitServe; the part of the others' time that the first takes."""
    install(LITSERVE)
    text, message = _body(site, "text", TEXT), _body(site, "message", json.dumps({"text": TEXT}))
    put = Request("PUT", "/bench/text", 0, text)
    post = Request("POST", "/predict", 0, message, {"Content-Type": "application/json"})
    sides = (
        _Side(site.server(MODEL, f"embeddings_{SIZE}"), put),
        _Side(site.server(MODEL, "embeddings_1"), put),
        _Side(site.server(LIT_MODEL, f"embeddings_{SIZE}"), post),
    )
    answers = [_answer(side) for side in sides]
    vectors = [_vector(answers[0]), _vector(answers[1]), _vector(base64.b64decode(json.loads(answers[2])["embedding"]))]
    if not all((vectors[0] * vector).sum() > _ALIKE for vector in vectors):
        raise WrongAnswerError("the servers give one text different embeddings")
    batched, alone, lit = _in_turn(site, sides, warm_up, seconds)
    return batched, alone, lit, alone / batched, lit / batched


def echo(site: Site, warm_up: float, seconds: float) -> Sequence[float]:
    """What an echo in batches takes of the time of one without."""
    put = Request("PUT", "/bench/text", 0, _body(site, "text", TEXT))
    sides = (_Side(site.server(INSTORE, "echo_batch"), put), _Side(site.server(INSTORE, "echo"), put))
    for side in sides:
        if _answer(side) != TEXT.encode():
            raise WrongAnswerError("an echo gave something else")
    batched, alone = _in_turn(site, sides, warm_up, seconds)
    return (alone / batched,)


def _in_turn(site: Site, sides: Sequence[_Side], warm_up: float, seconds: float) -> list[float]:
    """Requests per second of each side, in short windows that take turns."""
    window: Callable[[_Side], float] = lambda side: wrk(site, side.server, side.request, _WINDOW, CONNECTIONS)  # noqa: E731
    if warm_up:
        for side in sides:
            window(side)
    turns = max(1, round(seconds / _WINDOW))
    sums = [0.0] * len(sides)
    for _ in range(turns):
        sums = [total + window(side) for total, side in zip(sums, sides, strict=True)]
    if 0 in sums:
        raise BenchError("a server answered nothing in its windows: something else has this machine")
    return [total / turns for total in sums]


def _body(site: Site, name: str, content: str) -> Path:
    path = site.folder / name
    path.write_text(content)
    return path


def _answer(side: _Side) -> bytes:
    connection = http.client.HTTPConnection(HOST, side.server.port, timeout=30)
    try:
        body = side.request.body.read_bytes() if side.request.body else None
        connection.request(side.request.method, side.request.path, body, side.request.headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswerError(f"{side.server.kind.name} answered {answer.status}: {content[:200]!r}")
    return content


def _vector(content: bytes) -> numpy.ndarray:
    vector: numpy.ndarray = numpy.load(io.BytesIO(content))
    return vector
