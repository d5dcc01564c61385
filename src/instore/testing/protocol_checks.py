"""What the protocol asks of an ETL server, in whatever language it is written, as checks over the wire.

Each is a row of `CHECKS`: what it is, whether a server must or should pass it, and a function that says in a few words
what it saw, or raises. The facts are in docs/protocol.md.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from instore.protocol.headers import HEALTH_PATH, NODE_URL
from instore.protocol.requests import object_target, pull_target
from instore.protocol.responses import error_text
from instore.protocol.websocket import write_control
from instore.system.printable import printable
from instore.testing.answers import Answer, read_delivery, read_reply
from instore.testing.target import StandInTarget
from instore.testing.wire import Reply, Sent, ask, ask_websocket

_NAME = "samples/an object"
_UNAME = f"ais/@#/{_NAME}"
_LONGEST = 100  # characters of what is shown


class Verdict(Enum):
    """How a check ended."""

    OK = "ok"
    FAILED = "FAILED"
    UNCHECKED = "not checked"


class Row(NamedTuple):
    """A check and how it ended.

    Attributes:
        name: what was checked.
        must: whether a server that fails it loses or damages objects in a cluster.
        verdict: how it ended.
        detail: what was seen, in a few words.
    """

    name: str
    must: bool
    verdict: Verdict
    detail: str


class _UnmetError(Exception):
    """The server does not do what was checked; the text says what it did."""


class _UncheckedError(Exception):
    """It can't be checked here; the text says why."""


@dataclass(slots=True)
class Subject:
    """A server that is checked, and what it is checked with.

    Attributes:
        base: its URL.
        target: where it puts results.
        data: an object that its transform takes.
        bad: one that its transform refuses, if one is given.
        etl_args: the requests'.
        pulls: whether its `AIS_TARGET_URL` leads to `target`.
        timeout: seconds without progress.
        expected: the result of `data`; None as long as there is none.
    """

    base: str
    target: StandInTarget
    data: bytes
    bad: bytes | None
    etl_args: str
    pulls: bool
    timeout: float
    expected: bytes | None = None

    def put(self, data: bytes, cut: bool = False, chunked: bool = False) -> Reply:
        """Ask by PUT."""
        return self.ask(Sent("PUT", object_target(_NAME, "", self.etl_args), data, cut=cut, chunked=chunked))

    def name_file(self, method: str, fqn: str) -> Reply:
        """Ask for what is in a file."""
        body = b"" if method == "PUT" else None
        return self.ask(Sent(method, object_target(_NAME, fqn, self.etl_args), body))

    def put_on(self, data: bytes, cut: bool = False) -> tuple[Reply, list[bytes]]:
        """Have the result put to the target; the answer, and what came there."""
        token, entry = self.target.expect(_UNAME)
        sent = Sent("PUT", object_target(_NAME, "", self.etl_args), data, {NODE_URL: entry}, cut=cut)
        return self.ask(sent), self.target.delivered(token)

    def websocket(self, data: bytes, pipeline: str = "", cut: bool = False) -> Reply:
        """Ask over WebSocket; `_UncheckedError` if the server does not speak it."""
        control = write_control(_NAME.partition("/")[2], etl_args=self.etl_args, pipeline=pipeline)
        reply = ask_websocket(self.base, control, data, self.timeout, cut)
        if reply.broken.startswith("no WebSocket"):
            raise _UncheckedError("the server does not speak it, and is for hpush:// and hpull:// only")
        return reply

    def ask(self, sent: Sent) -> Reply:
        """Ask by HTTP."""
        return ask(self.base, sent, self.timeout)


def run_checks(subject: Subject) -> Iterator[Row]:
    """Check a server, row by row. Where a plain PUT has no result, nothing else can be compared with it."""
    for name, must, function in CHECKS:
        try:
            verdict, detail = Verdict.OK, function(subject)
        except _UnmetError as error:
            verdict, detail = Verdict.FAILED, str(error)
        except _UncheckedError as error:
            verdict, detail = Verdict.UNCHECKED, str(error)
        yield Row(name, must, verdict, _in_short(detail))


def _in_short(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def _result(answer: Answer) -> bytes:
    if answer.result is None:
        status = f"{answer.status}: " if answer.status is not None else ""
        raise _UnmetError(f"no result: {status}{answer.error}")
    return answer.result


def _same(subject: Subject, answer: Answer) -> str:
    if subject.expected is None:
        raise _UncheckedError("a PUT has no result to compare with")
    result = _result(answer)
    if result != subject.expected:
        raise _UnmetError(f"{len(result)} bytes, which are not the {len(subject.expected)} that a PUT gives")
    return f"{len(result)} bytes, the same"


def _refused(reply: Reply) -> str:
    """A failure must be an error's status, or the end of the connection."""
    if reply.broken:
        return reply.broken
    if reply.status is None or reply.status < 400:
        raise _UnmetError(f"{reply.status or 'a message'} with {len(reply.body)} bytes, which is stored as the object")
    return f"{reply.status}: {error_text(reply.body)}"


def _health(subject: Subject) -> str:
    reply = subject.ask(Sent("GET", HEALTH_PATH))
    if reply.status != 200 or reply.broken:
        raise _UnmetError(reply.broken or f"{reply.status}; expected 200")
    return "200"


def _put(subject: Subject) -> str:
    answer = read_reply(subject.put(subject.data))
    if answer.result is None and answer.status is not None and answer.status >= 400:
        raise _UnmetError(
            f"{answer.status}; give an object that the transform takes with --object FILE: {answer.error}"
        )
    result = _result(answer)
    subject.expected = result
    return f"{len(subject.data)} bytes in, {len(result)} out"


def _put_again(subject: Subject) -> str:
    return _same(subject, read_reply(subject.put(subject.data)))


def _chunked(subject: Subject) -> str:
    return _same(subject, read_reply(subject.put(subject.data, chunked=True)))


def _put_file(subject: Subject) -> str:
    return _file(subject, "PUT")


def _get_file(subject: Subject) -> str:
    return _file(subject, "GET")


def _file(subject: Subject, method: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "@ais" / "samples" / "%ob" / "an object"
        file.parent.mkdir(parents=True)
        file.write_bytes(subject.data)
        reply = subject.name_file(method, str(file))
    if reply.status == 404:
        raise _UncheckedError("the server does not see this machine's files")
    return _same(subject, read_reply(reply))


def _pull(subject: Subject) -> str:
    _check_pulls(subject)
    subject.target.offer(_UNAME, subject.data)
    return _same(subject, read_reply(subject.ask(Sent("GET", pull_target(_UNAME, subject.etl_args)))))


def _pull_missing(subject: Subject) -> str:
    _check_pulls(subject)
    return _refused(subject.ask(Sent("GET", pull_target("ais/@#/samples/no such object", subject.etl_args))))


def _pull_cut(subject: Subject) -> str:
    _check_pulls(subject)
    subject.target.offer(_UNAME, subject.data, cut=True)
    return _refused(subject.ask(Sent("GET", pull_target(_UNAME, subject.etl_args))))


def _check_pulls(subject: Subject) -> None:
    if not subject.pulls:
        raise _UncheckedError("needs --target-port")


def _direct_put(subject: Subject) -> str:
    reply, delivered = subject.put_on(subject.data)
    if not delivered and reply.status == 200:
        raise _UnmetError("the header is not honoured: the result is in the answer, and nothing was put")
    return _same(subject, read_delivery(reply, delivered))


def _malformed(subject: Subject) -> str:
    sent = Sent("PUT", object_target(_NAME, "", subject.etl_args), subject.data, {NODE_URL: "http://127.0.0.1:9,,"})
    return _refused(subject.ask(sent))


def _cut(subject: Subject) -> str:
    return _refused(subject.put(subject.data, cut=True))


def _cut_chunked(subject: Subject) -> str:
    return _refused(subject.put(subject.data, cut=True, chunked=True))


def _cut_direct_put(subject: Subject) -> str:
    reply, delivered = subject.put_on(subject.data, cut=True)
    _check_nothing_delivered(delivered)
    return _refused(reply)


def _missing_file(subject: Subject) -> str:
    return _refused(subject.name_file("PUT", "/no/@ais/samples/%ob/such file"))


def _bad(subject: Subject) -> str:
    return _refused(subject.put(_bad_object(subject)))


def _bad_direct_put(subject: Subject) -> str:
    reply, delivered = subject.put_on(_bad_object(subject))
    _check_nothing_delivered(delivered)
    return _refused(reply)


def _bad_object(subject: Subject) -> bytes:
    if subject.bad is None:
        raise _UncheckedError("needs --bad FILE, an object that the transform refuses")
    return subject.bad


def _check_nothing_delivered(delivered: list[bytes]) -> None:
    if delivered:
        raise _UnmetError(f"{len(delivered[0])} bytes were put to the target, which keeps them as the object")


def _websocket(subject: Subject) -> str:
    return _same(subject, read_reply(subject.websocket(subject.data)))


def _websocket_direct_put(subject: Subject) -> str:
    token, entry = subject.target.expect(_UNAME)
    reply = subject.websocket(subject.data, entry)
    delivered = subject.target.delivered(token)
    if reply.broken or not reply.text:
        raise _UnmetError(reply.broken or "a binary message, which is a failure; expected text, the number of bytes")
    if len(delivered) != 1:
        raise _UnmetError(f"the message says that the result is delivered, and {len(delivered)} were")
    return _same(subject, Answer(None, result=delivered[0]))


def _websocket_bad(subject: Subject) -> str:
    return _refused_message(subject.websocket(_bad_object(subject)))


def _websocket_bad_direct_put(subject: Subject) -> str:
    data = _bad_object(subject)
    token, entry = subject.target.expect(_UNAME)
    reply = subject.websocket(data, entry)
    _check_nothing_delivered(subject.target.delivered(token))
    if reply.text:
        raise _UnmetError("a text message, which says that the result is delivered: the object is lost")
    return "a binary message, or the end of the connection"


def _websocket_cut(subject: Subject) -> str:
    return _refused_message(subject.websocket(subject.data, cut=True))


def _refused_message(reply: Reply) -> str:
    if reply.text:
        raise _UnmetError("a text message, which says that the result is delivered: the object is lost")
    if not reply.broken:
        raise _UnmetError(f"a binary message of {len(reply.body)} bytes, which is stored as the object")
    return reply.broken


CHECKS: tuple[tuple[str, bool, Callable[[Subject], str]], ...] = (
    # (what, whether it must be so, the check); the first PUT's result is what the others are compared with
    ("GET /health is 200", True, _health),
    ("PUT with a body gives a result", True, _put),
    ("the same PUT gives the same", False, _put_again),
    ("PUT with a chunked body", False, _chunked),
    ("PUT that names a file (etl_fqn)", True, _put_file),
    ("GET that names a file (etl_fqn)", True, _get_file),
    ("GET of an object that the target has", True, _pull),
    ("direct put (Ais-Node-Url)", True, _direct_put),
    ("a malformed Ais-Node-Url is refused", False, _malformed),
    ("a file that is missing is a failure", True, _missing_file),
    ("an object that is missing is a failure", True, _pull_missing),
    ("an object that the transform refuses is a failure", True, _bad),
    ("the same with direct put: nothing is put", True, _bad_direct_put),
    ("a body that is cut off is a failure", True, _cut),
    ("a chunked body that is cut off is a failure", True, _cut_chunked),
    ("the same with direct put: nothing is put", True, _cut_direct_put),
    ("an object that breaks off at the target is a failure", True, _pull_cut),
    ("WebSocket: a result is a binary message", True, _websocket),
    ("WebSocket: direct put is a text message", True, _websocket_direct_put),
    ("WebSocket: a refused object gives no result", True, _websocket_bad),
    ("WebSocket: nor does it count as delivered", True, _websocket_bad_direct_put),
    ("WebSocket: an object that is cut off gives no result", True, _websocket_cut),
)
