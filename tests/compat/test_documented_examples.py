"""The examples of the SDK's own documentation, read from there, under its own commands behind `instore exec`."""

import http.client
import re
import textwrap
from pathlib import Path

import pytest

from tests.compat.commands import free_port, serving
from tests.support.environments import BOTH, OFFICIAL, OWN, Environment, need

pytestmark = pytest.mark.whole

_PORT = "8000"
_MODULES = {
    # the example's class: the program of its command
    "EchoServerFastAPI": "uvicorn",
    "UpperCaseStream": "uvicorn",
    "EchoServerFlask": "gunicorn",
    "EchoServer": "python",
}


def _readme() -> str:
    return next(
        OFFICIAL.python.parents[1].glob("lib/python*/site-packages/aistore/sdk/etl/webserver/README.md")
    ).read_text()


def _example(readme: str, cls: str) -> str:
    blocks = [textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```", readme, re.M | re.S)]
    return next(block for block in blocks if f"class {cls}(" in block)


def _command(readme: str, program: str) -> list[str]:
    lists: list[str] = re.findall(r"command: \[(.*)\]", readme)
    words = [re.findall(r'"([^"]*)"', one) for one in lists]
    return next(one for one in words if one[0] == program)


@pytest.mark.parametrize("environment", [OWN, BOTH], ids=lambda environment: environment.name)
@pytest.mark.parametrize("cls", _MODULES)
def test_an_example_of_the_documentation_runs_as_it_stands(cls: str, environment: Environment, tmp_path: Path) -> None:
    need(OFFICIAL, environment)
    readme, port = _readme(), free_port()
    source = _example(readme, cls)
    module = re.search(r"# (\w+)\.py", source)
    assert module is not None
    command = " ".join(_command(readme, _MODULES[cls])).replace("echo_server", module[1])
    assert _PORT in source
    (tmp_path / f"{module[1]}.py").write_text(source.replace(_PORT, str(port)))
    with serving(command.replace(_PORT, str(port)), port, tmp_path, environment, {}) as server:
        connection = http.client.HTTPConnection(server.host, port, timeout=60)
        connection.request("PUT", "/bucket/object", b"some data")
        answer = connection.getresponse()
        expected = b"SOME DATA" if cls == "UpperCaseStream" else b"some data"
        assert (answer.status, answer.read()) == (200, expected)
        connection.close()
