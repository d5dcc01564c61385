"""A class on its way: what comes out of a payload, and what is said of one that nothing comes out of."""

import base64
import io
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import cloudpickle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from instore.errors import ArgumentsError, PayloadError
from instore.server.arguments import decoder_of
from instore.webserver.base_etl_server import ETLServer
from instore.webserver.utils import deserialize_class, serialize_class

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SAMPLES = {path.stem.removeprefix("python-"): path for path in Path(__file__).parent.glob("payloads/*.txt")}
TARGET_URL = "http://127.0.0.1:9/v1/etl/_object/test/s3cr3t-etl"


class Upper(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        assert isinstance(data, bytes)
        return data.upper()


def payload_of(value: object) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


def class_from(script: str, name: str = "Mine") -> type[ETLServer]:
    """A class of a script, which nobody can import."""
    main = {"__name__": "__main__"}
    exec(script, main)
    found = main[name]
    assert isinstance(found, type)
    return found


def refusal_of(payload: str) -> str:
    with pytest.raises(PayloadError) as refusal:
        deserialize_class(payload)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


SCRIPT = """
from instore import ETLServer

class Mine(ETLServer):
    def transform(self, data, path, etl_args):
        return data.upper() + b"!"
"""


def test_a_class_comes_back_as_itself() -> None:
    assert deserialize_class(serialize_class(Upper)) is Upper


def test_white_space_in_a_payload_is_nothing() -> None:
    text = serialize_class(Upper)
    assert deserialize_class("\n".join([" ", text[:20], text[20:], ""])) is Upper


@pytest.mark.parametrize(
    "reader", [pickle.loads, cloudpickle.loads, lambda data: pickle._Unpickler(io.BytesIO(data)).load()]
)
def test_any_unpickler_reads_our_payload(reader: type) -> None:
    assert reader(base64.b64decode(serialize_class(Upper))) is Upper


@pytest.mark.parametrize("payload", ["", " \n"])
def test_an_empty_payload_is_said(payload: str) -> None:
    assert "is empty" in refusal_of(payload)


@pytest.mark.parametrize("payload", ["not base64!", "ab%c", "abc", "größe", "abcd=efg", "\ud800"])
def test_what_is_not_base64_is_said(payload: str) -> None:
    assert "is not base64" in refusal_of(payload)


def test_what_is_not_in_the_encoding_is_said() -> None:
    with pytest.raises(PayloadError, match="is not base64"):
        deserialize_class("größe", encoding="ascii")


@pytest.mark.parametrize(
    "data", [b"hello", b"\x80", b"\x80\x05", b"\x80\xff.", cloudpickle.dumps(Upper)[:-1], cloudpickle.dumps(Upper)[9:]]
)
def test_what_is_not_a_pickle_is_said(data: bytes) -> None:
    assert "not of a whole pickle" in refusal_of(base64.b64encode(data).decode())


@pytest.mark.parametrize("value", [None, 3, "class", {"a": Upper}, [Upper], Upper.transform, lambda data: data])
def test_what_is_not_a_class_is_said(value: object) -> None:
    assert f"holds no class but an object of type {type(value).__name__}" in refusal_of(payload_of(value))


@pytest.mark.parametrize("cls", [int, dict, type, Path])
def test_what_is_not_a_transform_is_said(cls: type) -> None:
    assert f"holds the class {cls.__name__}, which is not an ETLServer" in refusal_of(payload_of(cls))


def test_a_missing_module_is_named() -> None:
    module = types.ModuleType("nowhere_at_all")
    exec(SCRIPT.replace("__main__", "nowhere_at_all"), vars(module))
    sys.modules["nowhere_at_all"] = module
    payload = serialize_class(module.Mine)
    del sys.modules["nowhere_at_all"]
    text = refusal_of(payload)
    assert "needs the module nowhere_at_all, which is not there: add the package to dependencies (PACKAGES)" in text


def test_missing_modules_are_named_all_at_once() -> None:
    for name in ("first_of_two", "second_of_two"):
        sys.modules[name] = types.ModuleType(name)
    mine = class_from("import first_of_two, second_of_two\n" + SCRIPT + "    extra = (first_of_two, second_of_two)")
    payload = serialize_class(mine)
    del sys.modules["first_of_two"], sys.modules["second_of_two"]
    assert "needs the modules first_of_two and second_of_two, which are not there" in refusal_of(payload)


def test_a_missing_module_of_a_package_that_is_there_is_named() -> None:
    payload = base64.b64encode(b"cinstore.nowhere\nMine\n.").decode()
    assert "needs the module instore.nowhere, which is not there" in refusal_of(payload)


def test_a_name_that_a_module_does_not_have_is_said() -> None:
    text = refusal_of(base64.b64encode(b"cinstore\nNoSuchClass\n.").decode())
    assert "NoSuchClass" in text
    assert "in another version" in text


def test_code_that_fails_while_it_is_unpickled_is_said() -> None:
    class Refusing:
        def __reduce__(self) -> tuple[type, tuple[str]]:
            return int, ("no number",)

    assert "can't be unpickled: ValueError: invalid literal for int()" in refusal_of(payload_of(Refusing()))


def test_nothing_runs_of_a_payload_that_is_refused(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    sys.modules["nowhere_at_all"] = types.ModuleType("nowhere_at_all")
    payload = payload_of((Touch(), sys.modules["nowhere_at_all"]))
    del sys.modules["nowhere_at_all"]
    assert "nowhere_at_all" in refusal_of(payload)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("version", sorted(SAMPLES))
def test_a_payload_of_the_sdk_from_another_python_is_refused_and_named(version: str) -> None:
    """In a process of its own: a payload that is let through may crash it."""
    reader = "import sys; from instore.compat.aistore import install; install()\n"
    reader += "from instore.webserver.utils import deserialize_class\n"
    reader += "from instore.errors import PayloadError\n"
    reader += "try: cls = deserialize_class(sys.stdin.read())\nexcept PayloadError as error: sys.exit(str(error))\n"
    reader += "print(cls().transform(b'a b', 'o', '').decode())"
    run = subprocess.run(
        [sys.executable, "-c", reader],
        input=SAMPLES[version].read_text(),
        env={**os.environ, "AIS_TARGET_URL": TARGET_URL},
        capture_output=True,
        text=True,
    )
    if version == HERE:
        assert run.stdout == '{"path": "o", "words": ["A", "B"], "end": "!!!"}\n', run.stderr
    else:
        named = version if version != "3.10" else "3.10 or older"
        assert run.returncode == 1
        assert f"was made by Python {named}" in run.stderr or f" or {version}, and this" in run.stderr
        assert f"this is Python {HERE}" in run.stderr


def test_the_version_that_our_payload_names_is_believed() -> None:
    pickled = base64.b64decode(serialize_class(class_from(SCRIPT)))
    other = pickled.replace(b"python " + HERE.encode(), b"python 3.99", 1)
    assert len(other) == len(pickled)
    text = refusal_of(base64.b64encode(other).decode())
    assert f"was made by Python 3.99, and this is Python {HERE}" in text


def test_a_class_that_is_only_a_name_may_come_from_any_python() -> None:
    pickled = base64.b64decode(serialize_class(Upper))
    other = pickled.replace(b"python " + HERE.encode(), b"python 3.99", 1)
    assert other != pickled
    assert deserialize_class(base64.b64encode(other).decode()) is Upper


WHOLE = cloudpickle.dumps(class_from(SCRIPT))


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3))
def test_a_damaged_pickle_is_looked_into_without_harm(place: int, middle: bytes) -> None:
    assume(pickle.STOP not in middle)  # with which a part may be a whole pickle, of a class that lacks something
    damaged = WHOLE[:place] + middle
    with pytest.raises(PayloadError):
        deserialize_class(base64.b64encode(damaged).decode())


CLOSURES = """
import functools, json
from dataclasses import dataclass, field
from instore import ETLServer

LIMIT = {"n": 2}

def clip(text):
    return text[: LIMIT["n"]]

def counted(function):
    calls = 0

    @functools.wraps(function)
    def wrapper(*arguments):
        nonlocal calls
        calls += 1
        return function(*arguments) + b" %d" % calls

    return wrapper

@dataclass
class Options:
    marks: list = field(default_factory=lambda: ["!"])

class Base(ETLServer):
    options = Options()

    def clipped(self, data):
        return clip(data.decode())

class Mine(Base):
    def __init__(self):
        super().__init__()
        self.mark = self.options.marks[0]

    @counted
    def transform(self, data, path, etl_args):
        import zlib

        return json.dumps([self.clipped(data), self.mark, zlib.crc32(data)]).encode()
"""


def test_a_class_of_a_script_arrives_with_closures_bases_and_helpers() -> None:
    reader = "import sys; from instore.compat.aistore import install; install()\n"  # as whoever loads it here has
    reader += "from instore.webserver.utils import deserialize_class\n"
    reader += "print(deserialize_class(sys.argv[1])().transform(b'abc', '', '').decode())"
    payload = serialize_class(class_from(CLOSURES))
    run = subprocess.run(
        [sys.executable, "-c", reader, payload],
        env={**os.environ, "AIS_TARGET_URL": TARGET_URL},
        capture_output=True,
        text=True,
    )
    assert run.stdout == '["ab", "!", 891568578] 1\n', run.stderr


ARGUMENTS = """
from dataclasses import dataclass, field
from instore import ETLServer

@dataclass
class Options:
    side: int
    tags: list[str] = field(default_factory=list)

class Mine(ETLServer):
    Args = Options

    def transform(self, data, path, args):
        args.tags.append(path)
        return str(args).encode()
"""


def test_the_fields_of_a_dataclass_that_have_no_default_arrive_without_one() -> None:
    Mine = deserialize_class(payload_of(class_from(ARGUMENTS)))  # noqa: N806
    decode = decoder_of("Mine", Mine.Args)
    assert str(decode('{"side": 1}')) == "Options(side=1, tags=[])"
    with pytest.raises(ArgumentsError, match="missing required field `side`"):
        decode("")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'side'"):
        Mine.Args()
