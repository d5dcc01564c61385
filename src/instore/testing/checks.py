"""The check that every transform should pass: each way in gives the same, and no way in makes a result of a part."""

import operator
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from instore.protocol.websocket import close_reason
from instore.server.user_results import WHO_TAKES_RESULTS
from instore.testing.answers import Answer
from instore.testing.server import Served, Server

Samples = Mapping[str, bytes] | Iterable[str | os.PathLike[str]]
"""Objects by their names, `<bucket>/<object>`; or paths of files."""

Same = Callable[[bytes, bytes], bool]
"""Whether two results are alike: what came, and what PUT gave."""

_Ask = Callable[[Server, str, bytes, str, bool], Answer]
"""(server, name, data, args, whether the body is cut off)"""


def _websocket(server: Server, name: str, data: bytes, args: str, cut: bool) -> Answer:
    """A close has no room for a long sentence: the answer is that of a PUT with the same path where it begins so."""
    answer = server.websocket(name, data, args, cut=cut)
    if cut or not answer.error:
        return answer
    by_put = server.put(name.partition("/")[2] or name, data, args)
    return by_put if by_put.error and close_reason(by_put.error) == answer.error else answer


_PUT, _PUT_FOR_ONE = "put", "put for one result"
_WAYS: dict[str, _Ask] = {
    _PUT: lambda server, name, data, args, cut: server.put(name, data, args, cut=cut, results=True),
    "put without a length": lambda server, name, data, args, cut: server.put(
        name, data, args, chunked=True, cut=cut, results=True
    ),
    "pull": lambda server, name, data, args, cut: server.pull(name, data, args, cut=cut, results=True),
}
_WAYS_FOR_ONE: dict[str, _Ask] = {  # that carry one result, without a name or metadata
    _PUT_FOR_ONE: lambda server, name, data, args, cut: server.put(name, data, args, cut=cut),
    "websocket": _websocket,
    "direct put": lambda server, name, data, args, cut: server.pipeline([], name, data, args, cut=cut),
}


def check(
    transform: Served,
    samples: Samples,
    args: str | None = None,
    environment: Mapping[str, str] | None = None,
    same: Same = operator.eq,
) -> None:
    """Check that a transform gives the same in every way that a cluster or a job asks for it, and nothing for a part.

    What it gives of a sample is its result, several results with their names, content types and metadata, or that it
    is skipped. Each sample is sent whole by `put` (twice), by `put` without a length, by `pull` and as a file, which
    take several results; by `put`, over WebSocket and by a direct put for one result, where several must be refused;
    and with its second half missing, by all of them but the file. Then all samples are sent as a group, if the class
    makes one whole result of each; with `transform_batch` they meet in batches there, so give two or more.

    Args:
        transform: as for `Server`.
        samples: objects, `{"photos/cat.jpg": b"..."}`, or files, `["tests/cat.jpg"]`. The transform must make results
            of each, or skip it.
        args: the requests' `etl_args`. Default: none.
        environment: as for `Server`. With `{"ETL_DIRECT_FQN": "true"}` the file's path is what the transform gets.
        same: called with a result's bytes and those that the first `put` gave; whether they are alike. It is for what
            may differ in its last digits, such as a model's numbers, which depend on the batch. Default: equality.

    Raises:
        AssertionError: it does not; the text says which sample, which way, and what differs.
        ConfigurationError: the transform can't be served.
        ValueError: there are no samples.
    """
    objects = _read(samples)
    if not objects:
        raise ValueError("check() needs at least one sample, such as {'photos/cat.jpg': data}")
    with Server(transform, environment) as server:
        alone = {name: _check_sample(server, name, data, args or "", same) for name, data in objects.items()}
        if server.takes_groups:
            for name, answer in server.group(objects, args or "", results=True).items():
                _compare(alone[name], answer, f"{name}, group", same)


def _read(samples: Samples) -> dict[str, bytes]:
    if isinstance(samples, Mapping):
        return dict(samples)
    return {f"samples/{Path(path).name}": Path(path).read_bytes() for path in samples}


def _check_sample(server: Server, name: str, data: bytes, args: str, same: Same) -> Answer:
    """Check every way of one object; what the first has given."""
    expected = _WAYS[_PUT](server, name, data, args, False)
    _check_outcome(expected, f"{name}, put")
    compare = partial(_compare, expected, same=same)
    for way, ask in _WAYS.items():
        again = " again" if way == _PUT else ""
        compare(ask(server, name, data, args, False), f"{name}, {way}{again}")
    compare(_ask_by_file(server, name, data, args), f"{name}, file")
    for way, answer in _not_refused(server, name, data, args, expected):
        compare(answer, f"{name}, {way}")
    for way, ask in (_WAYS | _WAYS_FOR_ONE).items():
        _check_part(ask(server, name, data, args, True), f"{name}, {way}")
    return expected


def _not_refused(server: Server, name: str, data: bytes, args: str, expected: Answer) -> Iterator[tuple[str, Answer]]:
    """The answers that carry one result, without those that rightly say that they can't carry what is made."""
    answers = {way: ask(server, name, data, args, False) for way, ask in _WAYS_FOR_ONE.items()}
    is_plain = expected.result is not None and not expected.results
    may_be_refused = not is_plain and _is_refused(answers[_PUT_FOR_ONE])
    return ((way, answer) for way, answer in answers.items() if not (may_be_refused and _is_refused(answer)))


def _ask_by_file(server: Server, name: str, data: bytes, args: str) -> Answer:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return server.file(file.name, args, name, results=True)


def _is_refused(answer: Answer) -> bool:
    """Whether more is said to be made than can be answered; `transform_many` has no time to skip an object then."""
    return answer.status == 422 and answer.error.endswith(WHO_TAKES_RESULTS)


def _check_outcome(answer: Answer, place: str) -> None:
    if answer.error and not answer.skipped:
        frames = "".join(f"\n  at {frame}" for frame in answer.frames)
        raise AssertionError(f"{place}: no result: {answer.error}{frames}")


def _check_part(answer: Answer, place: str) -> None:
    if not answer.error:
        raise AssertionError(
            f"{place}: the object was cut off in its middle, and {_outcome(answer)} came of it; an object that broke "
            "off must fail"
        )


def _compare(expected: Answer, answer: Answer, place: str, same: Same) -> None:
    _check_outcome(answer, place)
    if difference := _difference(expected, answer, same):
        raise AssertionError(f"{place}: {difference}")


class _Made(NamedTuple):
    """One result; its content type is empty where none is told."""

    data: bytes
    name: str
    content_type: str
    metadata: Mapping[str, str]


def _results(answer: Answer) -> list[_Made]:
    if answer.results or answer.result is None:
        return [_Made(cast("bytes", one.data), one.name, one.content_type, one.metadata) for one in answer.results]
    return [_Made(answer.result, "", answer.headers.get("content-type", ""), {})]


def _outcome(answer: Answer) -> str:
    results = _results(answer)
    if answer.skipped:
        return answer.error
    return f"a result of {len(results[0].data)} bytes" if len(results) == 1 else f"{len(results)} results"


def _difference(expected: Answer, answer: Answer, same: Same) -> str:
    """What differs from what was expected, in a sentence; empty: nothing does."""
    wanted, made = _results(expected), _results(answer)
    if answer.skipped != expected.skipped or len(made) != len(wanted):
        return f"{_outcome(answer)}, but by put {_outcome(expected)}"
    for number, (one, other) in enumerate(zip(wanted, made, strict=True), 1):
        if difference := _result_difference(one, other, same):
            return f"result {number}: {difference}" if len(made) > 1 else difference
    return ""


def _result_difference(expected: _Made, made: _Made, same: Same) -> str:
    if made.name != expected.name:
        return f"another name than by put: {made.name!r} against {expected.name!r}"
    if made.content_type not in ("", expected.content_type):
        return f"another content type than by put: {made.content_type!r} against {expected.content_type!r}"
    if made.metadata != expected.metadata:
        return f"other metadata than by put: {made.metadata!r} against {expected.metadata!r}"
    return "" if same(made.data, expected.data) else _bytes_difference(expected.data, made.data)


def _bytes_difference(expected: bytes, data: bytes) -> str:
    shorter = min(len(expected), len(data))
    at = next((at for at in range(shorter) if expected[at] != data[at]), shorter)
    return (
        f"another result than by put: {len(data)} bytes against {len(expected)}, the first difference at byte {at}: "
        f"{data[at : at + 20]!r} against {expected[at : at + 20]!r}"
    )
