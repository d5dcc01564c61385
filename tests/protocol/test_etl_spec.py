from typing import Any

import pytest

from instore.errors import InvalidRequestError
from instore.protocol.etl_spec import Communication, ETLSpec

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
    assert ETLSpec.parse(MESSAGE) == ETLSpec(
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
    message = {"name": "abcdef", "communication": "hpush://", "runtime": {"image": "x"}, "init_timeout": None}
    spec = ETLSpec.parse(message)
    assert (spec.communication, spec.init_timeout, spec.obj_timeout) == (Communication.HPUSH, 300.0, 45.0)
    assert (spec.direct_put, spec.command, spec.env) == (False, (), ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "../../etc"}, "name: '../../etc' is not a valid name"),
        ({"communication": "ws://", "support_direct_put": False}, "needs direct put"),
        ({"name": "a", "obj_timeout": "soon"}, "name: .*; obj_timeout: "),
        ({"runtime": {"image": "x", "env": [{"name": "A", "value": "b\0"}]}}, "the variable A has a character"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        ETLSpec.parse({**MESSAGE, **changes})


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="is a list"):
        ETLSpec.parse(["name"])
