"""Arguments with types: what a text becomes, and how one that doesn't fit is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import cloudpickle
import msgspec
import pydantic
import pytest
import requests

from instore import ETLServer
from instore.errors import ArgumentsError, UnfitClassError
from instore.server.arguments import decoder_of, describe, schema_of
from tests.support.servers import TRANSFORMS, Server, running

DEFAULTS = "256 0.8 fit False []"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), TRANSFORMS / "with_args.py") as server:
        yield server


def put(server: Server, args: str) -> requests.Response:
    return requests.put(f"{server.url}/b/o", params={"etl_args": args}, data=b"cat", timeout=30)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("", DEFAULTS),
        ("  ", DEFAULTS),
        ("{}", DEFAULTS),
        ('{"side": 64, "crop": true}', "64 0.8 fit True []"),
        ('{"tags": ["a", "b"], "mode": "fill"}', "256 0.8 fill False ['a', 'b']"),
        ("side=64&quality=0.5", "64 0.5 fit False []"),
        ("mode=fill&crop=true", "256 0.8 fill True []"),
        ("crop=0", DEFAULTS),
    ],
)
def test_a_text_becomes_arguments_and_no_object_sees_what_another_did_to_them(
    server: Server, args: str, told: str
) -> None:
    for _ in range(3):
        assert put(server, args).text == told


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ('{"side": "large"}', "side: Expected `int`, got `str`"),
        ('{"side": "64"}', "side: Expected `int`, got `str`"),
        ("side=large", "side: Expected `int`, got `str`"),
        ("sied=64", "there is no argument 'sied'; there are side, quality, mode, crop, tags"),
        ('{"mode": "stretch"}', "mode: Invalid enum value 'stretch'"),
        ('{"side": 0}', "side must be at least 1"),
        ('{"side": 64', "are not JSON"),
        ("64", "are neither a JSON object nor written like side=256&quality=80"),
        ("[64]", "are neither a JSON object nor"),
        ("side=1&side=2", "have one more than once"),
        ('{"tags": [1]}', "tags[0]: Expected `str`, got `int`"),
    ],
)
def test_arguments_that_do_not_fit_are_400_with_the_field_and_what_it_takes(
    server: Server, args: str, sentence: str
) -> None:
    answer = put(server, args)
    assert answer.status_code == 400
    assert sentence in answer.text


def test_a_pydantic_model() -> None:
    class Size(pydantic.BaseModel):
        side: int = pydantic.Field(256, ge=1)
        name: str

    decode = decoder_of("Thumbs", Size)
    assert decode("side=64&name=a") == Size(side=64, name="a")
    with pytest.raises(ArgumentsError, match="side: Input should be greater than or equal to 1; name: Field required"):
        decode("side=0")
    assert describe(Size) == [("side", "int", "256"), ("name", "str", "")]


def test_a_struct() -> None:
    class Size(msgspec.Struct):
        side: int
        name: str | None = None

    assert decoder_of("Thumbs", Size)('{"side": 64}') == Size(64)
    assert describe(Size) == [("side", "int", ""), ("name", "str | None", "None")]
    with pytest.raises(ArgumentsError, match="missing required field `side`"):
        decoder_of("Thumbs", Size)("")


@dataclass
class Inner:
    name: str = "a"


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    more: list[Inner] | None = None


def test_a_class_whose_arguments_were_made_can_still_be_sent() -> None:
    decode = decoder_of("Thumbs", Outer)
    assert decode('{"more": [{"name": "b"}]}') == Outer(Inner("a"), [Inner("b")])
    for cls in (Outer, Inner):
        cls.__module__, module = "__main__", cls.__module__  # so that it goes by value, as from a notebook
        try:
            assert cloudpickle.loads(cloudpickle.dumps(cls)) is not None
        finally:
            cls.__module__ = module


@dataclass
class Unknowable:
    side: "NoSuchType"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (dict, r"Thumbs\.Args is <class 'dict'>; it takes a dataclass, a msgspec Struct or a pydantic model"),
        (3, r"Thumbs\.Args is 3; it takes"),
        (Unknowable, r"Thumbs\.Args has a field that no text can be made into: name 'NoSuchType' is not defined"),
    ],
)
def test_what_is_no_type_for_arguments_is_refused_when_the_class_is_made(args: Any, sentence: str) -> None:
    class Thumbs(ETLServer):
        Args = args

        def transform(self, data: Any, path: str, etl_args: Any) -> bytes:
            return b""

    with pytest.raises(UnfitClassError, match=sentence):
        Thumbs()


def test_a_server_says_as_a_schema_which_arguments_there_are(server: Server) -> None:
    answer = requests.get(f"{server.url}/arguments", timeout=30)
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json()
    assert list(told["properties"]) == ["side", "quality", "mode", "crop", "tags"]
    assert told["properties"]["side"] == {"type": "integer", "default": 256}


@dataclass
class Described:
    """A mark.

    Attributes:
        text: what is written
        side: not this one
    """

    text: str
    side: Annotated[int, msgspec.Meta(description="its own")] = 1


class Model(pydantic.BaseModel):
    side: int = pydantic.Field(256, ge=1, description="the longer one")


@dataclass
class Odd:
    when: Any = field(default=object())


def test_a_schema_has_descriptions_of_fields_or_of_the_docstring() -> None:
    told = schema_of(Described)
    assert told is not None
    assert told["required"] == ["text"]
    assert [field["description"] for field in told["properties"].values()] == ["what is written", "its own"]
    told = schema_of(Model)
    assert told is not None
    assert told["properties"]["side"]["description"] == "the longer one"
    assert cloudpickle.loads(cloudpickle.dumps(Described)) is not None  # nothing is left on the user's class


@pytest.mark.parametrize("args", [None, Odd])
def test_a_class_without_arguments_that_a_schema_can_tell_has_none(args: Any) -> None:
    assert schema_of(args) is None
