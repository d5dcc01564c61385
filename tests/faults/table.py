"""The rows of the fault table, generated: what is asked, what goes wrong, and what has to come of it.

Each group below is a product of doors, sources, shapes and next hops with a table of faults. A `Row` says what to do
and what must be concluded; it knows nothing of how a row is run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum, auto

from tests.faults.doors import DOORS, WS, Client, Door, Leave, Source
from tests.faults.transforms import MIDWAY, Mode, Shape
from tests.support.peers import Behaviour, End, Say
from tests.support.servers import SECRET, TARGET_PATH

BIG = (5 << 19) + 7
"""Bytes of an object that no side can hold back whole: several batches of everything."""
HUGE = 32 << 20
"""More than the kernel's buffers of a connection hold."""
SIZES = (0, 1, 1000, BIG)


class Hop(StrEnum):
    """Where the result goes next."""

    NONE = "none"
    TARGET = "target"
    STAGE = "stage"
    STAGE_TARGET = "stage_target"
    SERVER_TARGET = "server_target"  # a stage that is a server of our own


class Variant(StrEnum):
    """The environment that a server runs in."""

    PLAIN = "plain"  # no retries
    RETRIES = "retries"  # one retry
    HASTY = "hasty"  # a short time-out
    ORPHAN = "orphan"  # its target refuses connections
    DRAINS = "drains"  # it is told to stop while it transforms the object
    TLS = "tls"  # it speaks TLS


class Port(StrEnum):
    """Which port of the peer a next hop has."""

    SHARED = auto()
    OWN = auto()  # one that has seen a good object of the same row before
    REFUSES = auto()
    RESETS = auto()


class Must(StrEnum):
    """What has to be concluded."""

    SUCCEED = auto()
    FAIL = auto()
    BE_TRUE = auto()  # either, as long as it is the truth
    BE_SAFE = auto()  # nobody concludes anything, but nothing wrong may be stored


@dataclass(frozen=True)
class Expected:
    """What has to come of a row.

    Attributes:
        must: the conclusion.
        statuses: of an error; 0 stands for a broken answer; empty: any of them.
        retry: the error tells the target to replay.
        body: the error's whole text; None: any.
    """

    must: Must = Must.SUCCEED
    statuses: tuple[int, ...] = ()
    retry: bool = False
    body: bytes | None = None


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        door, source: how the object comes in.
        shape, mode: the transform.
        hop: where its result goes.
        size: bytes of the object.
        fault: what goes wrong, as it stands in the row's name.
        expected: what has to come of it.
        variant: the server's environment.
        next_behaviour: of the next hop, for the PUT.
        pull_behaviour: of the target, for the GET.
        times: how often they behave so; 0: always.
        port: the next hop's.
        client: how the client misbehaves.
        file: what is wrong with the file, see `tests.faults.files`.
    """

    door: Door
    source: Source
    shape: Shape
    hop: Hop
    fault: str
    expected: Expected = field(default_factory=Expected)
    mode: Mode = Mode.GOOD
    size: int = 1000
    variant: Variant = Variant.PLAIN
    next_behaviour: Behaviour | None = None
    pull_behaviour: Behaviour | None = None
    times: int = 0
    port: Port = Port.SHARED
    client: Client = field(default_factory=Client)
    file: str = "good"

    @property
    def id(self) -> str:
        parts = [self.door.name, self.source, self.shape, self.hop, self.fault]
        if self.variant in (Variant.RETRIES, Variant.TLS):
            parts.append(self.variant)
        if self.size != 1000:
            parts.append({BIG: "big", HUGE: "huge"}.get(self.size, str(self.size)))
        return "-".join(parts)


WAYS = tuple((door, source) for door in DOORS for source in door.sources)
BODIES = (Source.BODY, Source.CHUNKED)
TARGETS = tuple(source for source in Source if source is not Source.URL)
"""What a target sends, or has."""
MAIN_SHAPES = (Shape.BUFFERED, Shape.STREAMED)
NEXT = (Hop.TARGET, Hop.STAGE, Hop.STAGE_TARGET)


def _rows(
    shapes: tuple[Shape, ...] = MAIN_SHAPES,
    hops: tuple[Hop, ...] = tuple(Hop),
    sources: tuple[Source, ...] = tuple(Source),
) -> Iterator[Row]:
    """A row without a fault for each combination."""
    for door, source in WAYS:
        for shape in shapes:
            for hop in hops:
                if source in sources:
                    yield Row(door, source, shape, hop, "good")


def _good() -> Iterator[Row]:
    for row in _rows(tuple(Shape)):
        for size in SIZES:
            yield replace(row, size=size)


# Transforms that fail, or make nothing.

_MODES = {
    Mode.EMPTY: (1000, Must.SUCCEED),
    Mode.FAILS_FIRST: (1000, Must.FAIL),
    Mode.FAILS_LAST: (1000, Must.FAIL),
    Mode.NOT_BYTES: (1000, Must.FAIL),
    Mode.EXITS: (1000, Must.FAIL),
    Mode.IS_MUTE: (1000, Must.FAIL),
    Mode.HAS_NO_MEMORY: (1000, Must.FAIL),
    Mode.FAILS_MIDWAY: (BIG, Must.FAIL),
}


def _transforms() -> Iterator[Row]:
    for row in _rows(tuple(Shape)):
        for mode, (size, must) in _MODES.items():
            expected = Expected(must, _begun(row, size, 422) if must is Must.FAIL else ())
            yield replace(row, fault=mode, mode=mode, size=size, expected=expected)


def _begun(row: Row, size: int, *statuses: int) -> tuple[int, ...]:
    """Those statuses, and a broken answer where the answer may have begun."""
    return (*statuses, 0) if row.shape.streamed and row.hop is Hop.NONE and size > MIDWAY else statuses


# A next hop that does not behave.


class Class(StrEnum):
    """What kind of failure a next hop's fault is."""

    HARMLESS = auto()
    DOUBTFUL = auto()  # either conclusion will do, if it is true
    TRANSIENT = auto()
    PASSED_ON = auto()
    UNEXPECTED = auto()
    BROKEN = auto()  # any error


@dataclass(frozen=True)
class NextFault:
    """A fault of the next hop.

    Attributes:
        kind: what follows from it.
        behaviour: what the hop does.
        hops: which hops can do it.
        sizes: of the objects.
        port: where the hop listens.
        variant: the server's environment.
        sources: where the objects come from.
    """

    kind: Class
    behaviour: Behaviour | None
    hops: tuple[Hop, ...] = NEXT
    sizes: tuple[int, ...] = (1000,)
    port: Port = Port.SHARED
    variant: Variant = Variant.PLAIN
    sources: tuple[Source, ...] = TARGETS


_BOTH = (1000, BIG)
_TWO_SOURCES = (Source.BODY, Source.FILE)
_REASON = (("Ais-Etl-Retry-Reason", "direct-put-transient"),)
_ELSEWHERE = (("Location", "http://127.0.0.1:9/elsewhere"),)
WHY = b"no space left on the device"


def _does(end: End = End.KEEP, say: Say | None = None, read: int | None = None) -> Behaviour:
    return Behaviour(read=read, say=say, end=end)


def _stalls(behaviour: Behaviour, size: int = 1000) -> NextFault:
    stalled = replace(behaviour, end=End.STALL)
    hops = (Hop.TARGET, Hop.STAGE)
    return NextFault(Class.TRANSIENT, stalled, hops, (size,), variant=Variant.HASTY, sources=_TWO_SOURCES)


def _stale(behaviour: Behaviour) -> NextFault:
    reused = replace(behaviour, reused=True)
    return NextFault(Class.DOUBTFUL, reused, (Hop.TARGET, Hop.STAGE), _BOTH, Port.OWN)


def _status(status: int, headers: tuple[tuple[str, str], ...] = (), body: bytes = WHY) -> NextFault:
    kind = Class.PASSED_ON if status >= 400 else Class.UNEXPECTED
    return NextFault(kind, Behaviour(say=Say(status, body, headers)))


_NEXT_FAULTS: dict[str, NextFault] = {
    "late": NextFault(Class.HARMLESS, Behaviour(delay=0.1)),
    "closes_after": NextFault(Class.HARMLESS, _does(End.CLOSE, Say()), port=Port.OWN),
    "resets_after": NextFault(Class.DOUBTFUL, _does(End.RESET, Say()), port=Port.OWN),
    "answers_in_chunks": NextFault(Class.HARMLESS, Behaviour(say=Say(chunked=True)), sizes=_BOTH),
    "answers_while_reading": NextFault(Class.HARMLESS, Behaviour(while_reading=True), (Hop.STAGE,), _BOTH),
    "answers_empty": NextFault(Class.HARMLESS, Behaviour(say=Say(body=b"")), (Hop.STAGE,)),
    "continues_first": NextFault(
        Class.HARMLESS,
        Behaviour(say=Say(raw=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        (Hop.TARGET,),
    ),
    "answers_early": NextFault(
        Class.DOUBTFUL, Behaviour(read=0, say=Say(body=b""), reads_on=True), (Hop.TARGET,), _BOTH
    ),
    "answers_early_unread": NextFault(
        Class.BROKEN, _does(End.RESET, Say(body=b""), 0), (Hop.TARGET,), (HUGE,), sources=_TWO_SOURCES
    ),
    "answers_204_early_unread": NextFault(
        Class.BROKEN, _does(End.RESET, Say(204), 0), (Hop.TARGET,), (HUGE,), sources=_TWO_SOURCES
    ),
    "answers_204_for_nobody": NextFault(Class.UNEXPECTED, Behaviour(say=Say(204)), (Hop.STAGE,)),
    "refuses": NextFault(Class.TRANSIENT, None, port=Port.REFUSES),
    "resets_at_once": NextFault(Class.TRANSIENT, None, sizes=_BOTH, port=Port.RESETS),
    "resets_before_reading": NextFault(Class.TRANSIENT, _does(End.RESET, read=0), sizes=_BOTH),
    "resets_mid_body": NextFault(Class.TRANSIENT, _does(End.RESET, read=MIDWAY), sizes=(BIG,)),
    "closes_mid_body": NextFault(Class.TRANSIENT, _does(End.CLOSE, read=MIDWAY), sizes=(BIG,)),
    "resets_unanswered": NextFault(Class.TRANSIENT, _does(End.RESET), sizes=_BOTH),
    "closes_unanswered": NextFault(Class.TRANSIENT, _does(End.CLOSE)),
    "closes_mid_status": NextFault(Class.TRANSIENT, _does(End.CLOSE, Say(raw=b"HTTP/1.1 20"))),
    "closes_mid_headers": NextFault(
        Class.TRANSIENT, _does(End.CLOSE, Say(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"))
    ),
    "speaks_no_http": NextFault(Class.TRANSIENT, _does(End.CLOSE, Say(raw=b"SSH-2.0-peer\r\n"))),
    "answers_short": NextFault(Class.TRANSIENT, _does(End.CLOSE, Say(extra=10)), (Hop.TARGET, Hop.STAGE)),
    "resets_mid_answer": NextFault(Class.TRANSIENT, _does(End.RESET, Say(extra=10)), (Hop.TARGET, Hop.STAGE)),
    "leaves_out_the_last_chunk": NextFault(
        Class.TRANSIENT, _does(End.CLOSE, Say(chunked=True, cut=1000)), (Hop.TARGET, Hop.STAGE)
    ),
    "answers_unframed": NextFault(Class.DOUBTFUL, _does(End.CLOSE, Say(unframed=True)), (Hop.TARGET, Hop.STAGE)),
    "answers_unframed_half": NextFault(
        Class.BROKEN, _does(End.CLOSE, Say(unframed=True, cut=500)), (Hop.STAGE,), _BOTH
    ),
    "answers_unframed_and_resets": NextFault(
        Class.BROKEN, _does(End.RESET, Say(unframed=True, cut=500)), (Hop.STAGE,), _BOTH
    ),
    "resets_late_in_answer": NextFault(Class.BROKEN, _does(End.RESET, Say(cut=2 * MIDWAY)), (Hop.STAGE,), (BIG,)),
    "ends_late_in_answer": NextFault(
        Class.BROKEN, _does(End.CLOSE, Say(chunked=True, cut=2 * MIDWAY)), (Hop.STAGE,), (BIG,)
    ),
    "resets_while_reading": NextFault(
        Class.BROKEN,
        Behaviour(while_reading=True, say=Say(cut=2 * MIDWAY), end=End.RESET),
        (Hop.STAGE,),
        (BIG,),
    ),
    "closes_while_reading": NextFault(
        Class.BROKEN, Behaviour(while_reading=True, say=Say(cut=500), end=End.CLOSE), (Hop.STAGE,), _BOTH
    ),
    "stalls_before_reading": _stalls(_does(read=0), HUGE),
    "stalls_mid_body": _stalls(_does(read=MIDWAY), HUGE),
    "stalls_unanswered": _stalls(_does()),
    "stalls_mid_headers": _stalls(_does(say=Say(raw=b"HTTP/1.1 200 OK\r\n"))),
    "stalls_mid_answer": _stalls(_does(say=Say(extra=10))),
    "stalls_late_in_answer": NextFault(
        Class.BROKEN,
        _does(End.STALL, Say(cut=2 * MIDWAY)),
        (Hop.STAGE,),
        (BIG,),
        variant=Variant.HASTY,
        sources=_TWO_SOURCES,
    ),
    "closes_when_reused": _stale(_does(End.CLOSE, read=0)),
    "resets_when_reused": _stale(_does(End.RESET, read=0)),
    "resets_mid_body_when_reused": _stale(_does(End.RESET, read=500)),
    "resets_unanswered_when_reused": _stale(_does(End.RESET)),
    "answers_200_with_a_body": NextFault(Class.UNEXPECTED, Behaviour(say=Say(200, b"thanks")), (Hop.TARGET,)),
    "answers_202_to_a_put": NextFault(Class.UNEXPECTED, Behaviour(say=Say(202, b"")), (Hop.TARGET,)),
    **{f"answers_{status}": _status(status) for status in (201, 206)},
    "answers_201_empty": _status(201, body=b""),
    "answers_205_empty": _status(205, body=b""),
    "answers_304": _status(304, body=b""),
    "redirects": _status(307, _ELSEWHERE, b""),
    "redirects_302": _status(302, _ELSEWHERE, b"see there"),
    **{f"answers_{status}": _status(status) for status in (400, 401, 404, 409, 413, 416, 429, 500, 502, 503, 504, 507)},
    "answers_500_with_the_secret": _status(500, body=b"PUT " + TARGET_PATH.encode() + b"/x: " + WHY),
    "answers_500_empty": _status(500, body=b""),
    "answers_500_long": _status(500, body=WHY * 100_000),
    "asks_for_a_replay": _status(503, _REASON),
    "answers_204": NextFault(Class.HARMLESS, Behaviour(say=Say(204)), (Hop.TARGET,)),
    "answers_202": NextFault(Class.HARMLESS, Behaviour(say=Say(202, b"accepted")), (Hop.STAGE,)),
    "answers_500_short": NextFault(Class.TRANSIENT, _does(End.CLOSE, Say(500, WHY, extra=10))),
    "answers_500_early": NextFault(Class.PASSED_ON, Behaviour(read=0, say=Say(500, WHY), reads_on=True), sizes=_BOTH),
    "answers_500_early_and_closes": NextFault(
        Class.BROKEN, _does(End.CLOSE, Say(500, WHY), 0), sizes=_BOTH, port=Port.OWN
    ),
}


def _next_hops() -> Iterator[Row]:
    for name, fault in _NEXT_FAULTS.items():
        for row in _rows(hops=fault.hops, sources=fault.sources):
            for size in fault.sizes:
                yield replace(
                    row,
                    fault=name,
                    size=size,
                    port=fault.port,
                    variant=fault.variant,
                    next_behaviour=fault.behaviour,
                    expected=_of_next(fault, row),
                )


def _of_next(fault: NextFault, row: Row) -> Expected:
    match fault.kind:
        case Class.HARMLESS:
            return Expected()
        case Class.DOUBTFUL:
            return Expected(Must.BE_TRUE)
        case Class.TRANSIENT:
            return _exhausted(row)
        case Class.PASSED_ON:
            say = fault.behaviour.say if fault.behaviour is not None else None
            assert say is not None
            text = None if SECRET.encode() in (say.body or b"") else say.body
            return Expected(Must.FAIL, (say.status,), say.headers == _REASON, text)
        case Class.UNEXPECTED:
            return Expected(Must.FAIL, (502,))
        case Class.BROKEN:
            return Expected(Must.FAIL, retry=_must_be_replayed(row))


def _must_be_replayed(row: Row) -> bool:
    return row.shape.streamed and not row.door.replayable(row.source)


def _exhausted(row: Row) -> Expected:
    return Expected(Must.FAIL, (503,), retry=True) if _must_be_replayed(row) else Expected(Must.FAIL, (502,))


# A next hop that fails once, and a server that tries again.

_HEALS = (
    "resets_before_reading",
    "resets_mid_body",
    "resets_unanswered",
    "closes_mid_headers",
    "answers_short",
    "leaves_out_the_last_chunk",
)


def _retries() -> Iterator[Row]:
    for name in _HEALS:
        fault = _NEXT_FAULTS[name]
        for row in _rows(hops=(Hop.TARGET, Hop.STAGE), sources=(Source.BODY, Source.FILE, Source.PULL)):
            # The client below may repeat by itself what is small enough to be sent as one piece.
            expected = replace(_exhausted(row), must=Must.BE_TRUE) if _must_be_replayed(row) else Expected()
            yield replace(
                row,
                fault=f"{name}_once",
                size=fault.sizes[-1],
                next_behaviour=fault.behaviour,
                times=1,
                variant=Variant.RETRIES,
                expected=expected,
            )
            if row.hop is Hop.TARGET:
                yield replace(
                    row,
                    fault=name,
                    size=fault.sizes[-1],
                    next_behaviour=fault.behaviour,
                    variant=Variant.RETRIES,
                    expected=_exhausted(row),
                )


# A chain of two servers, with the fault at its end.

_AT_THE_END = ("late", "resets_mid_body", "resets_unanswered", "answers_404", "asks_for_a_replay", "answers_206")


def _chains() -> Iterator[Row]:
    for name in _AT_THE_END:
        fault = _NEXT_FAULTS[name]
        for row in _rows(hops=(Hop.SERVER_TARGET,)):
            yield replace(
                row,
                fault=name,
                size=fault.sizes[-1],
                next_behaviour=fault.behaviour,
                expected=_of_chain(fault, row),
            )


def _of_chain(fault: NextFault, row: Row) -> Expected:
    """The second server gets a body: what it can't replay itself, it asks for, and so does the first."""
    if fault.kind is Class.TRANSIENT:
        return Expected(Must.FAIL, (503,), retry=True) if row.shape.streamed else Expected(Must.FAIL, (502,))
    return _of_next(fault, row)


# A target that does not give the object.


@dataclass(frozen=True)
class PullFault:
    """A fault of the target's answer to a GET.

    Attributes:
        behaviour: what the target does; None: it is not there.
        must: what follows from it.
        status: of the error.
        sizes: of the objects.
        variant: the server's environment.
    """

    behaviour: Behaviour | None
    must: Must = Must.FAIL
    status: int = 502
    sizes: tuple[int, ...] = (1000,)
    variant: Variant = Variant.PLAIN


def _refused_with(status: int) -> PullFault:
    return PullFault(Behaviour(say=Say(status, WHY)), status=status if status >= 400 else 502)


_PULL_FAULTS: dict[str, PullFault] = {
    "pull_late": PullFault(Behaviour(delay=0.1), Must.SUCCEED),
    "pull_in_chunks": PullFault(Behaviour(say=Say(chunked=True)), Must.SUCCEED, sizes=SIZES),
    # What is closed may be taken for the put that follows: a retry puts that right.
    "pull_and_close": PullFault(_does(End.CLOSE, Say()), Must.SUCCEED, sizes=SIZES, variant=Variant.RETRIES),
    "pull_refused": PullFault(None, variant=Variant.ORPHAN),
    "pull_reset": PullFault(_does(End.RESET)),
    "pull_closed": PullFault(_does(End.CLOSE)),
    "pull_closed_mid_headers": PullFault(_does(End.CLOSE, Say(raw=b"HTTP/1.1 200 OK\r\n"))),
    "pull_no_http": PullFault(_does(End.CLOSE, Say(raw=b"SSH-2.0-peer\r\n"))),
    "pull_short": PullFault(_does(End.CLOSE, Say(cut=-1)), sizes=_BOTH),
    "pull_short_of_all": PullFault(_does(End.CLOSE, Say(cut=0))),
    "pull_reset_mid_body": PullFault(_does(End.RESET, Say(cut=500)), sizes=_BOTH),
    "pull_reset_late": PullFault(_does(End.RESET, Say(cut=2 * MIDWAY)), sizes=(BIG,)),
    "pull_without_last_chunk": PullFault(_does(End.CLOSE, Say(chunked=True, cut=BIG)), sizes=(0, *_BOTH)),
    "pull_chunks_cut": PullFault(_does(End.CLOSE, Say(chunked=True, cut=500)), sizes=_BOTH),
    "pull_unframed": PullFault(_does(End.CLOSE, Say(unframed=True)), Must.BE_TRUE),
    "pull_unframed_cut": PullFault(_does(End.CLOSE, Say(unframed=True, cut=500)), sizes=_BOTH),
    "pull_unframed_reset": PullFault(_does(End.RESET, Say(unframed=True, cut=500)), sizes=_BOTH),
    "pull_stalls": PullFault(_does(End.STALL), variant=Variant.HASTY),
    "pull_stalls_mid_body": PullFault(_does(End.STALL, Say(cut=-1)), sizes=_BOTH, variant=Variant.HASTY),
    "pull_206": PullFault(Behaviour(say=Say(206, b"a part"))),
    **{f"pull_{status}": _refused_with(status) for status in (201, 202, 307, 400, 401, 403, 404, 416, 500, 503)},
    "pull_204": PullFault(Behaviour(say=Say(204, b""))),
    "pull_404_short": PullFault(_does(End.CLOSE, Say(404, WHY, extra=10)), status=0),
}


def _pulls() -> Iterator[Row]:
    for name, fault in _PULL_FAULTS.items():
        for row in (
            *_rows(hops=(Hop.NONE, *NEXT), sources=(Source.PULL,)),
            *_rows(hops=(Hop.NONE, Hop.TARGET), sources=(Source.URL,)),
        ):
            for size in fault.sizes:
                statuses = _begun(row, size, fault.status) if fault.must is Must.FAIL and fault.status else ()
                yield replace(
                    row,
                    fault=name,
                    size=size,
                    variant=fault.variant,
                    pull_behaviour=fault.behaviour,
                    expected=Expected(fault.must, statuses),
                )


# A client that does not behave.

_HALF = 500
_CLIENT_FAULTS: dict[str, tuple[Must, Client]] = {
    "client_half_closes": (Must.BE_TRUE, Client(then=Leave.HALF_CLOSE)),
    "client_body_short": (Must.FAIL, Client(sends=_HALF, then=Leave.HALF_CLOSE)),
    "client_sends_no_body": (Must.FAIL, Client(sends=0, then=Leave.HALF_CLOSE)),
    "client_closes_mid_body": (Must.BE_SAFE, Client(sends=_HALF, then=Leave.CLOSE)),
    "client_resets_mid_body": (Must.BE_SAFE, Client(sends=_HALF, then=Leave.RESET)),
    "client_closes_after_body": (Must.BE_SAFE, Client(then=Leave.CLOSE)),
    "client_resets_after_body": (Must.BE_SAFE, Client(then=Leave.RESET)),
    "client_leaves_while_reading": (Must.BE_SAFE, Client(then=Leave.RESET, reads=20)),
}
_WEBSOCKET_FAULTS: dict[str, Client] = {
    "client_closes_before_body": Client(sends=0, then=Leave.CLOSE),
    "client_resets_mid_body": Client(sends=_HALF, then=Leave.RESET),
    "client_closes_after_body": Client(then=Leave.CLOSE),
    "client_resets_after_body": Client(then=Leave.RESET),
}
_CHUNK_FAULTS: dict[str, tuple[Must, Client]] = {
    "client_sends_a_bad_chunk": (Must.FAIL, Client(garbage=b"never\r\n", sends=_HALF, then=Leave.HALF_CLOSE)),
}
# What foreign servers don't tell apart must be safe; tests/http/ has what our own edge makes of them.
_SPEECH: dict[str, Client] = {
    "client_speaks_http_1_0": Client(version="1.0"),
    "client_asks_for_an_upgrade": Client(headers=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")),
    "client_asks_for_a_websocket": Client(headers=("Connection: Upgrade", "Upgrade: websocket")),
    "client_sends_trailers": Client(trailers=b"Ais-Node-Url: http://127.0.0.1:9/ais/elsewhere\r\n"),
}
# Heads that are malformed, or could be read in two ways. A foreign server may take some of them, if it is right.
MALFORMED: dict[str, Client] = {
    "head_has_two_lengths": Client(headers=("Content-Length: 7",)),
    "head_has_a_length_and_chunks": Client(headers=("Transfer-Encoding: chunked",)),
    "head_has_another_coding": Client(headers=("Transfer-Encoding: gzip, chunked",)),
    "head_has_two_hosts": Client(headers=("Host: elsewhere",)),
    "head_has_a_bare_line_feed": Client(headers=("X: y\nZ: z",)),
    "head_has_a_folded_line": Client(headers=("X: y\r\n z",)),
    "head_has_a_space_before_the_colon": Client(headers=("X : y",)),
    "head_has_a_control_character": Client(headers=("X: \x01",)),
    "head_has_a_zero_byte": Client(headers=("X: a\x00b",)),
    "head_has_a_field_without_a_name": Client(headers=(": y",)),
    "head_has_a_signed_length": Client(headers=("Content-Length: +7",)),
    "head_has_an_unknown_version": Client(version="1.1x"),
}
_LENGTH_FAULTS: dict[str, tuple[Must, Client]] = {
    "client_sends_more_than_announced": (Must.BE_TRUE, Client(garbage=b"surplus", then=Leave.HALF_CLOSE)),
}


def _clients() -> Iterator[Row]:
    hops = (Hop.NONE, Hop.TARGET, Hop.STAGE_TARGET)
    for row in _rows(tuple(Shape), hops, BODIES):
        if row.door is WS:
            yield from _websocket_clients(row)
            continue
        faults = _CLIENT_FAULTS | (_CHUNK_FAULTS if row.source is Source.CHUNKED else _LENGTH_FAULTS)
        for name, (must, client) in faults.items():
            for size in _BOTH:
                yield replace(row, fault=name, size=size, client=client, expected=Expected(must))
            if row.shape.streamed and client.sends is not None:
                yield replace(row, fault=f"{name}_unseen", mode=Mode.SWALLOWS, client=client, expected=Expected(must))
    for row in _rows(tuple(Shape), hops, (*BODIES, Source.FILE)):
        for name, client in _SPEECH.items():
            if row.door is not WS and _can_say(row, client):
                for size in _BOTH:
                    yield replace(row, fault=name, size=size, client=client, expected=Expected(Must.BE_TRUE))
    for row in _rows(tuple(Shape), hops):
        client = Client(then=Leave.CLOSE)
        expected = Expected(Must.BE_SAFE)
        yield replace(row, fault="client_leaves_meanwhile", mode=Mode.WAITS, client=client, expected=expected)


_BESIDE_A_LENGTH = ("head_has_two_lengths", "head_has_a_length_and_chunks")


def _heads() -> Iterator[Row]:
    for row in _rows(hops=(Hop.NONE, Hop.TARGET), sources=(Source.BODY, Source.PULL)):
        if row.door is WS:
            continue
        for name, client in MALFORMED.items():
            if row.source is Source.BODY or name not in _BESIDE_A_LENGTH:
                yield replace(row, fault=name, client=client, expected=Expected(Must.BE_TRUE))


# A server that speaks TLS: what goes by the kernel or a thread elsewhere goes another way there.

_OVER_TLS = (
    "client_closes_mid_body",
    "client_resets_mid_body",
    "client_resets_after_body",
    "client_leaves_while_reading",
)


def _tls() -> Iterator[Row]:
    for row in _rows(tuple(Shape), (Hop.NONE, Hop.TARGET)):
        for size in SIZES:
            yield replace(row, fault="good", size=size, variant=Variant.TLS)
        yield replace(
            row,
            fault=Mode.FAILS_MIDWAY,
            mode=Mode.FAILS_MIDWAY,
            size=BIG,
            variant=Variant.TLS,
            expected=Expected(Must.FAIL, _begun(row, BIG, 422)),
        )
    for row in _rows(hops=(Hop.NONE, Hop.TARGET), sources=BODIES):
        for name in _OVER_TLS if row.door is not WS else ():
            must, client = _CLIENT_FAULTS[name]
            for size in _BOTH:
                yield replace(row, fault=name, size=size, client=client, variant=Variant.TLS, expected=Expected(must))


def _can_say(row: Row, client: Client) -> bool:
    """Trailers need chunks, which HTTP/1.0 doesn't have."""
    return not (client.trailers and row.source is not Source.CHUNKED) and not (
        client.version == "1.0" and row.source is Source.CHUNKED
    )


def _websocket_clients(row: Row) -> Iterator[Row]:
    for name, client in _WEBSOCKET_FAULTS.items():
        for size in _BOTH:
            yield replace(row, fault=name, size=size, client=client, expected=Expected(Must.BE_SAFE))


# A server that is told to stop: what is under way is not its client's loss.


def _drains() -> Iterator[Row]:
    for row in _rows(tuple(Shape), (Hop.NONE, Hop.TARGET, Hop.STAGE_TARGET)):
        for size in _BOTH:
            yield replace(row, fault="server_drains", mode=Mode.WAITS, variant=Variant.DRAINS, size=size)


# A file that is not what it should be.

_FILE_FAULTS = {
    "missing": 404,
    "folder_missing": 404,
    "symlink_out": 403,
    "folder_symlink_out": 403,
    "directory": 403,
    "fifo": 403,
    "outside": 403,
    "work_file": 403,
    "relative": 403,
    "dots": 403,
    "environment": 403,
}


def _files() -> Iterator[Row]:
    for row in _rows(tuple(Shape), (Hop.NONE, Hop.TARGET), (Source.FILE,)):
        for name, status in _FILE_FAULTS.items():
            yield replace(row, fault=f"file_{name}", file=name, expected=Expected(Must.FAIL, (status,)))
        if row.shape.streamed:
            expected = Expected(Must.FAIL, _begun(row, BIG, 500))
            for mode in (Mode.SHRINKS, Mode.GROWS, Mode.OVERWRITES):
                yield replace(row, fault=f"file_{mode}", mode=mode, size=BIG, expected=expected)


ROWS: tuple[Row, ...] = (
    *_good(),
    *_transforms(),
    *_next_hops(),
    *_retries(),
    *_chains(),
    *_pulls(),
    *_clients(),
    *_heads(),
    *_tls(),
    *_drains(),
    *_files(),
)
