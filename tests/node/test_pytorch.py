"""The official SDK's data sets for PyTorch, against a node."""

import subprocess
from pathlib import Path

import pytest
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from tests.support.environments import need, torch
from tests.support.node import running_node

pytestmark = pytest.mark.whole


def test_data_sets_for_pytorch_have_each_sample_once(tmp_path: Path) -> None:
    environment = torch()
    need(environment)
    with running_node(tmp_path, 2) as node:

        @node.client().etl("upper-etl").init_class()
        class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
            def transform(self, data: bytes, _path: str, _etl_args: str) -> bytes:
                return data.upper()

        done = subprocess.run(
            [environment.python, Path(__file__).with_name("torch_data.py"), "upper-etl"],
            env={"AIS_ENDPOINT": node.endpoint, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("done\n")
        assert "Traceback" not in node.log.read_text()
