from typing import Any

import pytest

from instore.errors import InvalidRequestError
from instore.protocol.spec import Communication, EtlSpec, parse_duration

MESSAGE: dict[str, Any] = {
    "name": "md5-etl",
    "communication": "hpull://",
    "init_timeout": "5m",
    "obj_timeout": "1m30s",
    "support_direct_put": True,
    "runtime": {
        "image": "aistorage/transformer_md5:latest",
        "command": ["uvicorn", "a:b"],
        "env": [{"name": "A", "value": "b"}],
    },
}


def with_runtime(**changes: Any) -> dict[str, Any]:
    return {"runtime": {**MESSAGE["runtime"], **changes}}


def test_a_whole_specification_is_read() -> None:
    assert EtlSpec.parse(MESSAGE) == EtlSpec(
        name="md5-etl",
        communication=Communication.HPULL,
        init_timeout=300.0,
        obj_timeout=90.0,
        direct_put=True,
        image="aistorage/transformer_md5:latest",
        command=("uvicorn", "a:b"),
        env=(("A", "b"),),
        message=MESSAGE,
    )


def test_what_is_left_out_has_the_clusters_defaults() -> None:
    spec = EtlSpec.parse({"name": "abcdef", "runtime": {"image": "x"}, "init_timeout": None, "communication": ""})
    assert (spec.communication, spec.init_timeout, spec.obj_timeout) == (Communication.HPUSH, 300.0, 45.0)
    assert (spec.direct_put, spec.command, spec.env) == (False, (), ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "short"}, "name 'short' is invalid"),
        ({"name": "a" * 33}, "is invalid"),
        ({"name": "-abcdef"}, "is invalid"),
        ({"name": "abcdef-"}, "is invalid"),
        ({"name": "Abcdef"}, "is invalid"),
        ({"name": "../../etc"}, "is invalid"),
        ({"name": "abcdef\n"}, "is invalid"),
        ({"name": None}, "is invalid"),
        ({"communication": "io://"}, "one of hpush://, hpull://, ws://"),
        ({"communication": ["ws://"]}, "one of"),
        ({"communication": "ws://", "support_direct_put": False}, "needs support_direct_put"),
        ({"support_direct_put": "yes"}, "true or false"),
        ({"init_timeout": "soon"}, "init_timeout is 'soon'"),
        ({"obj_timeout": "0s"}, "longer than nothing"),
        ({"obj_timeout": "inf"}, "and end"),
        ({"obj_timeout": "5m5"}, "expected a duration"),
        ({"obj_timeout": True}, "expected a duration"),
        ({"runtime": None}, "runtime is missing"),
        ({"runtime": {"image": " "}}, "runtime.image is missing"),
        (with_runtime(command="uvicorn"), "not a list of words"),
        (with_runtime(command=[1]), "not a list of words"),
        (with_runtime(command=["a\0b"]), "not a list of words"),
        (with_runtime(env={"A": "b"}), "not a list of"),
        (with_runtime(env=["A"]), "name of a variable"),
        (with_runtime(env=[{"name": "A=B", "value": "c"}]), "name of a variable"),
        (with_runtime(env=[{"name": "A", "value": 1}]), "name of a variable"),
        (with_runtime(env=[{"name": "A", "value": "b\0"}]), "name of a variable"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        EtlSpec.parse({**MESSAGE, **changes})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="specification is missing or not an object"):
        EtlSpec.parse(["name"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("100ms", 0.1),
        ("30", 30),
        (2, 2),
        (" 1m ", 60),
    ],
)
def test_durations_are_gos(text: Any, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
