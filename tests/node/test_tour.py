"""The official SDK, in an environment without instore, against a node."""

import subprocess
from pathlib import Path

import pytest

from tests.node.processes import descendants
from tests.support.environments import OFFICIAL, need
from tests.support.node import TARGETS, running_node, wait_until

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]


def run(script: Path, endpoint: str, *options: str) -> str:
    done = subprocess.run(
        [OFFICIAL.python, script, *options],
        env={"AIS_ENDPOINT": endpoint, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--strict"]], ids=["ours", "strict"])
@pytest.mark.parametrize("targets", TARGETS)
def test_the_official_sdk_does_all_that_it_can_with_etls(tmp_path: Path, targets: int, options: list[str]) -> None:
    need(OFFICIAL)
    with running_node(tmp_path, targets, options=options) as node:
        assert run(Path(__file__).with_name("tour.py"), node.endpoint, *options).endswith("done\n")
        wait_until(lambda: descendants(node.process.pid) == [])
        assert "Traceback" not in node.log.read_text()


def test_the_first_example_says_what_it_does(tmp_path: Path) -> None:
    need(OFFICIAL)
    with running_node(tmp_path) as node:
        assert run(ROOT / "examples" / "first_etl.py", node.endpoint) == "HELLO, STORE\nHELLO, STORE\n"
