"""What a class may be, and what it is told when it can't be."""

from pathlib import Path
from typing import Any

import pytest
import requests

from instore import ETLServer
from instore.errors import UnfitClassError
from tests.support.servers import TRANSFORMS, running


def made(**members: Any) -> type[ETLServer]:
    """A class with these members."""
    members.setdefault("transform", lambda self, data, path, etl_args: data)
    return type("Mine", (ETLServer,), members)


@pytest.fixture(autouse=True)
def _target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_TARGET_URL", "http://127.0.0.1:9/v1/etl/_object/mine/secret")


@pytest.mark.parametrize("name", ["concurrency", "max_batch_size"])
@pytest.mark.parametrize("value", [0, -1, "4", 1.5, True, None])
def test_a_number_of_objects_that_is_none_is_refused(name: str, value: Any) -> None:
    sentence = rf"Mine\.{name} is {value!r}; it takes a whole number of at least 1"
    with pytest.raises(UnfitClassError, match=sentence):
        made(**{name: value})()

    class Sets(made()):  # type: ignore[misc]
        def __init__(self) -> None:
            setattr(self, name, value)

    with pytest.raises(UnfitClassError, match=sentence.replace("Mine", "Sets")):
        _ = Sets().asgi_app


@pytest.mark.parametrize("value", [-1, "1s", float("inf"), float("nan"), True, None])
def test_a_time_for_batches_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(UnfitClassError, match=r"Mine\.batch_timeout is .*; it takes a number of seconds, 0 or more"):
        made(batch_timeout=value)()


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"transform": lambda self, data: data}, r"Mine\.transform\(self, data\) can't be called with .* too many"),
        ({"transform": lambda self, data, path, etl_args, more: data}, r"missing a required argument: 'more'"),
        ({"transform_batch": lambda self, objects: objects}, r"Mine\.transform_batch\(self, objects\) can't be called"),
        ({"transform_stream": lambda self: iter(())}, r"Mine\.transform_stream\(self\) can't be called"),
    ],
)
def test_a_method_that_can_not_take_what_it_gets_is_refused(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnfitClassError, match=sentence):
        made(**members)()


@pytest.mark.parametrize(
    "method",
    [
        lambda self, data, path, etl_args=None: data,
        lambda self, *args: args[0],
        lambda self, data, path, args, **more: data,
        staticmethod(lambda data, path, etl_args: data),
        classmethod(lambda cls, data, path, etl_args: data),
    ],
)
def test_a_method_that_can_is_not(method: Any) -> None:
    _ = made(transform=method)().asgi_app


def test_a_class_may_use_every_name_of_ours_for_its_own_things(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "overwrites.py") as server:
        assert requests.put(f"{server.url}/b/o", data=b"cat", timeout=30).content == b"prod: cat"


def test_a_class_is_warmed_up_before_it_is_asked_for_anything(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "warm.py") as server:
        assert requests.put(f"{server.url}/b/o", data=b"cat", timeout=30).content == b"warm"


def test_a_class_that_can_not_be_warmed_up_ends_the_command_with_the_reason(tmp_path: Path) -> None:
    source = (TRANSFORMS / "warm.py").read_text().replace('b"warm"', "open('/nowhere').read()")
    with pytest.raises(AssertionError, match=r"Warm\.warm_up\(\) failed: FileNotFoundError"), running(tmp_path, source):
        pass
