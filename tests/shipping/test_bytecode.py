"""Telling this Python's bytecode from another's."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from types import CodeType

import pytest

from instore.shipping.bytecode import foreign_version

# The instructions of `def f(x): return x.real + 1`, from each version.
SAMPLES = {
    "3.11": "97007c006a00000000000000000064017a0000005300",
    "3.12": "97007c006a0000000000000000000000000000000000000064017a0000005300",
    "3.13": "95005500520000000000000000000000000000000000000053012d0000002400",
}


def parts(code: CodeType) -> tuple[object, ...]:
    """What `types.CodeType` takes, where only the number of things and the instructions matter."""
    return (0,) * 6 + (code.co_code,) + (0,) * 11


def functions_of(module: str) -> Iterator[CodeType]:
    source = inspect.getsource(importlib.import_module(module))
    todo = [compile(ast.parse(source), module, "exec")]
    while todo:
        code = todo.pop()
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_flags & inspect.CO_NEWLOCALS and code.co_flags & inspect.CO_OPTIMIZED:
            yield code


MODULES = (
    "argparse",
    "asyncio.base_events",
    "dataclasses",
    "http.client",
    "inspect",
    "subprocess",
    "typing",
    "zipfile",
)


@pytest.mark.parametrize("module", MODULES)
def test_no_function_of_this_python_is_taken_for_anothers(module: str) -> None:
    codes = list(functions_of(module))
    assert len(codes) > 10
    assert {code.co_qualname for code in codes if foreign_version(parts(code)) is not None} == set()


@pytest.mark.parametrize("version", SAMPLES)
def test_the_version_is_told(version: str) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    told = foreign_version((0,) * 6 + (bytes.fromhex(SAMPLES[version]),) + (0,) * 11)
    if version == here:
        assert told is None
    else:
        assert told is not None
        assert version in told.split(" or ")
        assert here not in told.split(" or ")


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        ((0,) * 16, "3.10 or older"),
        ((), "3.10 or older"),
        ((0,) * 25, "another version"),
        ((0,) * 6 + ("no bytes",) + (0,) * 11, "another version"),
        ((0,) * 6 + (b"",) + (0,) * 11, "another version"),
        ((0,) * 6 + (b"\xff\x00",) + (0,) * 11, "another version"),
    ],
)
def test_what_is_no_code_of_any_known_version_is_foreign(arguments: tuple[object, ...], version: str) -> None:
    assert foreign_version(arguments) == version


def test_instructions_that_end_within_their_caches_are_foreign() -> None:
    code = (lambda x: x.real + 1).__code__.co_code
    whole = (0,) * 6 + (code,) + (0,) * 11
    cut = (0,) * 6 + (code[:8],) + (0,) * 11
    assert foreign_version(whole) is None
    assert foreign_version(cut) is not None
