"""Where our answer may differ from the official server's, and why; docs/compared.md shows the same list.

A difference is allowed for what it names and under its own condition only; anything else is a failure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.compat.asks import Answer, Ask, Way
from tests.compat.commands import THREADED, Kind
from tests.compat.table import Transformer

_WS = (Way.WS, Way.WS_FILE)
_LENGTH, _TYPE, _FRAMING = "header content-length", "header content-type", "header transfer-encoding"
_TRUNCATED = 200


@dataclass(frozen=True)
class Pair:
    """One request and its two answers."""

    kind: Kind
    transformer: Transformer
    ask: Ask
    theirs: Answer
    ours: Answer

    @property
    def both_failed(self) -> bool:
        """Over HTTP: an error on both sides, and ours is a plain sentence."""
        codes = (self.theirs.status, self.ours.status)
        plain = self.ours.headers.get("content-type") == "text/plain; charset=utf-8" and bool(self.ours.body)
        return plain and all(isinstance(code, int) and code >= 400 for code in codes)


@dataclass(frozen=True)
class Difference:
    """A difference that is meant.

    Attributes:
        title: what is different.
        reason: why ours is better.
        aspects: what of the answer may differ.
        applies: under which condition.
    """

    title: str
    reason: str
    aspects: tuple[str, ...]
    applies: Callable[[Pair], bool]


def _ends_without_body(pair: Pair) -> bool:
    return pair.theirs.status == pair.ours.status == 204 and not {"content-type", "content-length"} & set(
        pair.ours.headers
    )


def _framed_well(pair: Pair) -> bool:
    headers = pair.ours.headers
    framed = headers.get("content-length") == str(len(pair.ours.body)) or headers.get("transfer-encoding") == "chunked"
    return pair.transformer.streamed and pair.theirs.status == pair.ours.status == 200 and framed


def _charset_added(pair: Pair) -> bool:
    return pair.theirs.headers.get("content-type") == f"{pair.ours.headers.get('content-type')}; charset=utf-8"


def _text_for_failure(pair: Pair) -> bool:
    said = pair.theirs.body.startswith((b"Transform error", b"Invalid pipeline header"))
    said = said or (pair.transformer.cls == "Failing" and pair.theirs.body == b"0")
    honest = "binary" if pair.ask.next == "target" else "closed 1011"
    return pair.ask.way in _WS and pair.theirs.status == "text" and said and pair.ours.status == honest


def _streamed_over_websocket(pair: Pair) -> bool:
    served = "text" if pair.ask.next == "target" else "binary"
    refused = str(pair.theirs.status).startswith("closed")
    return pair.ask.way in _WS and pair.transformer.streamed and refused and pair.ours.status == served


def _pipeline_refused(pair: Pair) -> bool:
    return pair.ask.next not in ("", "target") and pair.theirs.status in (400, 500) and pair.ours.status == 400


def _file_missing(pair: Pair) -> bool:
    by_path = pair.transformer.variables.get("ETL_DIRECT_FQN") == "true"
    return by_path and pair.ask.data is None and (pair.theirs.status, pair.ours.status) == (500, 404)


def _bails_on_get(pair: Pair) -> bool:
    by_get = pair.kind is THREADED and pair.ask.way in (Way.FILE_GET, Way.PULL)
    return by_get and pair.ask.args == "bail" and (pair.theirs.status, pair.ours.status) == (502, 503)


def _transform_failed(pair: Pair) -> bool:
    return (pair.theirs.status, pair.ours.status) == (500, 422)


def _own_file_missing(pair: Pair) -> bool:
    return (
        pair.transformer.cls == "Failing"
        and pair.ask.args == "file"
        and (pair.theirs.status, pair.ours.status) == (404, 422)
    )


DIFFERENCES = (
    Difference(
        "An error is a plain sentence.",
        "The body of an error becomes the object's error in the job's report, where a person reads it: which object, "
        "what failed, why. The SDK sends JSON (FastAPI, Flask) or a page of HTML (threaded), and for a failed GET of "
        "the target it leaves out what the target said.",
        ("body", _TYPE, _LENGTH),
        lambda pair: pair.both_failed,
    ),
    Difference(
        "An answer without a body says nothing about one.",
        "After a direct put the SDK's servers send 204 with a `Content-Length`, a `Content-Type` or both. RFC 9110 "
        "rules out the length, and there is nothing to have a type.",
        (_TYPE, _LENGTH),
        _ends_without_body,
    ),
    Difference(
        "The content type is what `get_mime_type()` says.",
        "FastAPI adds `; charset=utf-8` to text types, whatever the text's encoding is.",
        (_TYPE,),
        _charset_added,
    ),
    Difference(
        "A streamed result is always framed.",
        "A short one, whole before the answer begins, has its `Content-Length`; a longer one is chunked. The SDK's "
        "threaded server answers with HTTP/1.0 and neither, so that a result that breaks off looks whole.",
        (_LENGTH, _FRAMING),
        _framed_well,
    ),
    Difference(
        "A failed transform over WebSocket is a failure.",
        'The target takes any text message for "delivered", and the SDK sends the error as text. instore sends a '
        "binary message where a direct put was asked for; otherwise it closes the connection with 1011 and the reason.",
        ("status", "body"),
        _text_for_failure,
    ),
    Difference(
        "A streaming class is served over WebSocket.",
        "The SDK's closes the connection.",
        ("status", "body", "stored"),
        _streamed_over_websocket,
    ),
    Difference(
        "A malformed pipeline is refused before the transform runs.",
        "The SDK's servers run it first, with all that it does elsewhere, and then answer 400; or 500, if it fails.",
        ("status", "stored", "read"),
        _pipeline_refused,
    ),
    Difference(
        "A transform that raised, or gave what is not bytes, is 422.",
        "The SDK's servers answer 500. But the official client repeats a request whose answer is 5xx, for about 90 "
        "seconds, and then raises `RetryError` without the reason; the transform would only fail again. 422 is told at "
        "once, with its reason. 5xx stays for what is not the transform's fault and may pass.",
        ("status",),
        _transform_failed,
    ),
    Difference(
        "A `FileNotFoundError` of the transform itself is 422.",
        "The SDK answers 404, as if the object were missing; it is there, and the transform's own file is not. A "
        "missing object is 404 in both.",
        ("status",),
        _own_file_missing,
    ),
    Difference(
        "A missing object is 404 under `ETL_DIRECT_FQN` too.",
        "The SDK hands the path on, and what the transform makes of it is usually 500.",
        ("status",),
        _file_missing,
    ),
    Difference(
        "A transform that leaves the retry to the target is understood on every way.",
        "`ETLDirectPutTransientError` with `bail_without_local_retry=True` is 503 with `Ais-Etl-Retry-Reason`. The "
        "SDK's threaded server answers a GET with 502, which asks the target for no retry.",
        ("status", "header ais-etl-retry-reason"),
        _bails_on_get,
    ),
)

OTHER_DIFFERENCES = (
    (
        "HTTPMultiThreadedServer takes chunked bodies.",
        "The SDK's answers 501, which rules out a streaming stage before it. Ours is compared with what the SDK's "
        "makes of the same body with a length.",
    ),
    (
        "A streaming transform's reader can only be read forward.",
        "The SDK's is the file itself where a request names one, with `seek` and `fileno`, and a stream of the body "
        "elsewhere, so that a transform works on the one and fails on the other. instore's is the same everywhere, and "
        "its error says what to do.",
    ),
    (
        "Next hops are checked.",
        "The SDK's servers put a result, with the token and the target's secret, wherever a request says. instore puts "
        "it to hosts of private networks, or to those that `INSTORE_NEXT_HOPS` names; others are 403.",
    ),
)


def compared_with(kind: Kind, ask: Ask) -> Ask:
    """The request whose official answer ours to `ask` must equal; another one where the official server has none."""
    return replace(ask, way=Way.PUT) if kind is THREADED and ask.way is Way.CHUNKED else ask


def unexplained(pair: Pair) -> Iterator[str]:
    """What differs, and may not."""
    allowed = {aspect for difference in DIFFERENCES if difference.applies(pair) for aspect in difference.aspects}
    theirs, ours = pair.theirs.aspects(), pair.ours.aspects()
    for aspect in sorted({*theirs, *ours} - allowed):
        if theirs.get(aspect) != ours.get(aspect):
            values = (str(side.get(aspect))[:_TRUNCATED] for side in (theirs, ours))
            yield f"{pair.ask}: {aspect}: official {', ours '.join(values)}"
