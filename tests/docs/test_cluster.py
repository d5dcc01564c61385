"""Every command of docs/cluster.md does what the page says: Slurm, Docker and Kubernetes are played, Ray is real."""

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.docs.test_links import ROOT
from tests.support.clouds import CREDENTIALS, Cloud
from tests.support.environments import RAY, need
from tests.support.ray_cluster import local_ray

_PAGE = (ROOT / "docs" / "cluster.md").read_text()
_COMMANDS = re.findall(r"^```sh\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
_SCRIPT = re.search(r"^```python\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
_EXAMPLE = re.search(r"^cat > upper\.py .*?^EOT$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
_PROGRAMS = {
    "sbatch": """
        #!/bin/bash
        first_last=$(sed -n 's/^#SBATCH --array=//p' "$1")
        export SLURM_ARRAY_TASK_MIN=${first_last%-*} SLURM_ARRAY_TASK_MAX=${first_last#*-}
        export SLURM_ARRAY_TASK_COUNT=$((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1))
        for SLURM_ARRAY_TASK_ID in $(seq $SLURM_ARRAY_TASK_MIN $SLURM_ARRAY_TASK_MAX); do
            export SLURM_ARRAY_TASK_ID
            bash -e "$1" || exit
        done
        """,
    "kubectl": """
        #!/usr/bin/env python
        import os, subprocess, sys, yaml
        assert sys.argv[1:3] == ["apply", "-f"]
        job = yaml.safe_load(open(sys.argv[3]))["spec"]
        [container] = job["template"]["spec"]["containers"]
        for index in range(job["completions"]):
            subprocess.run(container["command"], env={**os.environ, "JOB_COMPLETION_INDEX": str(index)}, check=True)
        """,
    "docker": """
        #!/bin/bash
        [[ "$*" == "build -t etl-upper:latest ." && -e Dockerfile || "$*" == "push etl-upper:latest" ]]
        """,
    # The cluster runs already: `local_ray` started it with these commands, and more options.
    "ray": """
        #!/bin/bash
        [[ "$*" == "start --head" || "$*" == start\\ --address=HEAD:* ]]
        """,
}


@pytest.fixture(name="programs")
def _programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in _PROGRAMS.items():
        (folder / name).write_text(textwrap.dedent(text).strip() + "\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.whole
def test_each_command_of_the_page_runs(cloud: Cloud, tmp_path: Path, programs: Path) -> None:
    need(RAY)
    assert len(_COMMANDS) > 7
    assert _EXAMPLE is not None
    assert _SCRIPT is not None
    cloud.client.create_bucket(Bucket="photos")
    for folder in ("shared/notes", "notes"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "first.txt").write_text("hello, store\n")
    variables = {**os.environ, **CREDENTIALS, "PATH": f"{programs}:{RAY.programs}:{os.environ['PATH']}"}

    def here(text: str) -> str:
        text = text.replace("array=0-15", "array=0-2").replace("--job 16", "--job 3")  # of the rest each is the same
        return text.replace("http://localhost:9000", cloud.endpoint).replace("/shared/", f"{tmp_path}/shared/")

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    with local_ray(CREDENTIALS) as cluster:
        variables["RAY_ADDRESS"] = cluster.address
        run("bash", "-ec", _EXAMPLE[0])
        for command in _COMMANDS:
            run("bash", "-ec", here(command).replace("shared:/shared", f"shared:{tmp_path}/shared"))
        (tmp_path / "script.py").write_text(here(_SCRIPT[1]))
        run(str(RAY.python), "script.py")
    loud = b"HELLO, STORE\n"
    for folder in ("loud", "shared/loud", "shared/louder", "shared/loudest", "shared/by-ray"):
        assert (tmp_path / folder / "first.txt").read_bytes() == loud, folder
    put = dict.fromkeys(["loud/first.txt", "louder/loud/first.txt", "on-ray/loud/first.txt"], loud)
    assert put.items() <= cloud.content("photos").items()  # other pages have such a bucket, too
