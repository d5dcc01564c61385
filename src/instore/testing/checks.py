"""The check that every transform should pass: each way in gives the same, and no way in makes a result of a part."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from instore.testing.answers import Answer
from instore.testing.server import Served, Server

Samples = Mapping[str, bytes] | Iterable[str | os.PathLike[str]]
"""Objects by their names, `<bucket>/<object>`; or paths of files."""

_WAYS: dict[str, Callable[[Server, str, bytes, str, bool], Answer]] = {
    # (server, name, data, args, whether the body is cut off)
    "put": lambda server, name, data, args, cut: server.put(name, data, args, cut=cut),
    "put without a length": lambda server, name, data, args, cut: server.put(name, data, args, chunked=True, cut=cut),
    "pull": lambda server, name, data, args, cut: server.pull(name, data, args, cut=cut),
    "websocket": lambda server, name, data, args, cut: server.websocket(name, data, args, cut=cut),
    "direct put": lambda server, name, data, args, cut: server.pipeline([], name, data, args, cut=cut),
}


def check(
    transform: Served, samples: Samples, args: str | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Check that a transform gives the same result in every way that a cluster asks for it, and none for a part.

    Each sample is sent whole by `put` (twice), by `put` without a length, as a file, by `pull`, over WebSocket, and by
    a direct put; then with its second half missing, by all of them but the file.

    Args:
        transform: as for `Server`.
        samples: objects, `{"photos/cat.jpg": b"..."}`, or files, `["tests/cat.jpg"]`. The transform must make a result
            of each.
        args: the requests' `etl_args`. Default: none.
        environment: as for `Server`. With `{"ETL_DIRECT_FQN": "true"}` the file's path is what the transform gets.

    Raises:
        AssertionError: it does not; the text says which sample, which way, and what differs.
        ConfigurationError: the transform can't be served.
        ValueError: there are no samples.
    """
    objects = _read(samples)
    if not objects:
        raise ValueError("check() needs at least one sample, such as {'photos/cat.jpg': data}")
    with Server(transform, environment) as server:
        for name, data in objects.items():
            _check_sample(server, name, data, args or "")


def _read(samples: Samples) -> dict[str, bytes]:
    if isinstance(samples, Mapping):
        return dict(samples)
    return {f"samples/{Path(path).name}": Path(path).read_bytes() for path in samples}


def _check_sample(server: Server, name: str, data: bytes, args: str) -> None:
    expected = _result(server.put(name, data, args), name, "put")
    _compare(expected, _result(server.put(name, data, args), name, "put again"), name, "put again")
    for way, ask in _WAYS.items():
        _compare(expected, _result(ask(server, name, data, args, False), name, way), name, way)
    _compare(expected, _result(_ask_by_file(server, name, data, args), name, "file"), name, "file")
    for way, ask in _WAYS.items():
        answer = ask(server, name, data, args, True)
        if answer.result is not None:
            raise AssertionError(
                f"{name}, {way}: the object was cut off in its middle, and a result of {len(answer.result)} bytes came "
                "of it; an object that broke off must fail"
            )


def _ask_by_file(server: Server, name: str, data: bytes, args: str) -> Answer:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return server.file(file.name, args, name)


def _result(answer: Answer, name: str, way: str) -> bytes:
    if answer.result is None:
        places = "".join(f"\n  at {frame}" for frame in answer.frames)
        raise AssertionError(f"{name}, {way}: no result: {answer.error}{places}")
    return answer.result


def _compare(expected: bytes, result: bytes, name: str, way: str) -> None:
    if result != expected:
        at = next((i for i, pair in enumerate(zip(expected, result, strict=False)) if pair[0] != pair[1]), None)
        at = min(len(expected), len(result)) if at is None else at
        raise AssertionError(
            f"{name}, {way}: another result than by put: {len(result)} bytes against {len(expected)}, the first "
            f"difference at byte {at}: {result[at : at + 20]!r} against {expected[at : at + 20]!r}"
        )
