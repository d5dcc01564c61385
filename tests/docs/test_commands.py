"""The commands and scripts on the pages that are not one idea each: they run, and print what stands there.

What a page has of this machine alone, an address or a folder, is replaced by the test's own.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import soundfile
import yaml
from aistore import Client

from instore.testing import LocalNode
from tests.docs.newcomer import is_setup
from tests.docs.test_links import ROOT
from tests.docs.test_pages import CONCEPTS, blocks, free_port, shell
from tests.examples.support import EXAMPLES, airports, gather, names_in, package_folder, photograph, python_sources
from tests.examples.test_pages import pdf
from tests.support.environments import OFFICIAL, need

ELSEWHERE = {
    # pages whose code other tests run, or which has none that a reader would paste
    "architecture": "a drawing",
    "benchmarks": "commands that take as long as the page says, and leave its figures",
    "clouds": "test_clouds.py",
    "cluster": "test_cluster.py",
    "compared": "what tests/faults/compare.py has seen",
    "compat": "tests/compat/test_commands.py and test_overlay.py",
    "jobs": "test_pages.py, and here",
    "shards": "test_pages.py, tests/server/test_members.py, and here",
    "testing": "its calls are those of tests/testing",
}
HERE = ("examples", "node", "operating", "page", "runtime")

UPPER = """
from instore import ETLServer


class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        return data.upper()
"""

FAULTY = """\
name: upper-case
communication: ws://
init_timeout: 5m
obj_timeout: 45
runtime:
  image: me/etl:1
  command: [instore, serve, "etl.py:Upper"]
  env:
    - {name: NUMBER, value: 8}
"""


def test_the_code_of_every_page_is_run_by_some_test() -> None:
    pages = {page.stem for page in (ROOT / "docs").glob("*.md") if "```" in page.read_text()}
    assert pages == {*CONCEPTS, *ELSEWHERE, *HERE}


def of_kind(page: str, kind: str) -> list[str]:
    return [code for found, code in blocks(page) if found == kind]


@contextmanager
def started(command: str, folder: Path, lines: int, **variables: str) -> Iterator[list[str]]:
    """The first lines of a command that goes on, until it is told to stop."""
    environment = {**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = shlex.split(command)
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        assert run.stdout is not None
        try:
            yield [run.stdout.readline().decode() for _ in range(lines)]
        finally:
            run.terminate()


@pytest.mark.whole
@pytest.mark.parametrize("page", ["node", "page"])
def test_a_server_says_what_its_page_says(page: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (console,) = of_kind(page, "console")
    for part in console.split("$ ")[1:]:
        command, *said = part.replace("/home/me", str(tmp_path)).splitlines(keepends=True)
        port = free_port()
        with started(f"{command.strip()} --port {port}", tmp_path, len(said)) as printed:
            assert printed == [line.replace("51080", port).replace("8000", port) for line in said]


@pytest.mark.whole
def test_a_node_s_scripts_work(tmp_path: Path) -> None:
    need(OFFICIAL)
    (tmp_path / "cat.jpg").write_bytes(photograph("rocket.jpg").read_bytes())
    with LocalNode(tmp_path / "data") as node:
        script = "".join(of_kind("node", "python")).replace("http://127.0.0.1:51080", node.endpoint)
        (tmp_path / "script.py").write_text(script)
        assert shell(f"{OFFICIAL.python} script.py", tmp_path) == "['cat.jpg']\n"
        made = Client(node.endpoint).bucket("loud").object("cat.jpg").get_reader().read_all()
    assert made == photograph("rocket.jpg").read_bytes().upper()


@pytest.mark.whole
def test_a_class_is_sent_as_the_page_about_clusters_says(tmp_path: Path) -> None:
    (code,) = of_kind("runtime", "python")
    with LocalNode(tmp_path / "data") as node:
        (tmp_path / "script.py").write_text(code.replace("http://proxy:51080", node.endpoint))
        shell("python script.py", tmp_path)
        assert [etl.id for etl in Client(node.endpoint).cluster().list_etls()] == ["upper-case"]


@pytest.mark.whole
def test_a_spec_is_written_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(UPPER)
    (console,), (jobs,) = of_kind("runtime", "console"), of_kind("runtime", "sh")
    command, said = console.removeprefix("$ ").split("\n", 1)
    assert shell(f"{command} 2>&1", tmp_path) == said
    shell(jobs, tmp_path)
    for folder in ("buckets", "folders"):
        assert yaml.safe_load((tmp_path / folder / "job.yaml").read_text())["kind"] == "Job"


@pytest.mark.whole
def test_faults_of_a_spec_are_said_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "runtime.md").read_text()
    said = page.partition("exits with 1 if there is one:\n\n```\n")[2].partition("```")[0]
    (tmp_path / "etl_spec.yaml").write_text(FAULTY)
    assert shell("instore spec --check etl_spec.yaml || true", tmp_path).startswith(said)


@pytest.mark.whole
def test_a_pod_s_command_and_probes_are_right(tmp_path: Path) -> None:
    (tmp_path / "etl.py").write_text(UPPER)
    (container,) = yaml.safe_load(of_kind("operating", "yaml")[0])["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    port = free_port()
    command = shlex.join([*container["command"], "--host", "127.0.0.1", "--port", port])
    with started(command, tmp_path, 5, **variables):  # four workers are ready
        for probe in ("readinessProbe", "livenessProbe"):
            assert urlopen(f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}").status == 200


def text_files(folder: Path, count: int, ending: str) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}{ending}").write_bytes(python_sources(4000)[number * 1000 : (number + 1) * 1000])


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    """The folders that the commands of the page about examples name."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    gather(tmp_path / "photos", photograph("rocket.jpg"), photograph("retina.jpg"))
    gather(tmp_path / "downloads", photograph("coffee.png"), airports())
    gather(tmp_path / "tables", airports())
    for name in ("texts", "tickets", "logs"):
        text_files(tmp_path / name, 3, ".txt")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "report.pdf").write_bytes(pdf("rocket.jpg"))
    (tmp_path / "sounds").mkdir()
    sound = next((package_folder("chime") / "themes" / "material").glob("*.wav"))
    soundfile.write(tmp_path / "sounds" / "chime.flac", *soundfile.read(sound))
    return tmp_path


@pytest.mark.whole
def test_each_example_is_run_as_its_page_says(data: Path) -> None:
    (code,) = of_kind("examples", "sh")
    commands = code.replace("/tmp/photos-seen", str(data / "seen")).splitlines()
    assert len(commands) == 12
    for command in commands:
        shell(command, data)
        results = shlex.split(command.partition("examples/")[2])[2]
        assert len(names_in(data / results)) >= 1, command
    assert names_in(data / "vectors") == ["0.npy", "1.npy", "2.npy"]
    assert names_in(data / "parquet") == ["airports.parquet"]
    assert names_in(data / "speech") == ["chime.wav"]


@pytest.mark.whole
def test_shards_are_made_transformed_and_unpacked_as_their_page_says(data: Path) -> None:
    (data / "thumbs.py").write_text((EXAMPLES / "thumbnails.py").read_text())
    transform, there_and_back = of_kind("shards", "sh")
    shell(there_and_back, data)
    assert names_in(data / "photos-again") == names_in(data / "photos")
    shell(transform.splitlines()[0], data)
    assert names_in(data / "small") == names_in(data / "shards")


@pytest.mark.whole
def test_a_part_of_a_job_is_done_as_its_page_says(data: Path) -> None:
    (data / "thumbs.py").write_text((EXAMPLES / "thumbnails.py").read_text())
    (code,) = of_kind("jobs", "sh")
    command = code.partition("#")[0].replace("/shared/", f"{data}/")
    for part in range(8):
        shell(command.replace("0/8", f"{part}/8"), data)
    assert [name for name in names_in(data / "small") if name.endswith(".jpg")] == names_in(data / "photos")


@pytest.mark.whole
def test_the_readme_s_store_runs(tmp_path: Path) -> None:
    need(OFFICIAL)
    block = (ROOT / "README.md").read_text().partition("AIStore's own client, which sends it a class")[2]
    code = block.partition("```sh\n")[2].partition("```")[0]
    (tmp_path / "examples").symlink_to(EXAMPLES)
    port = free_port()
    script = "\n".join(line for line in code.splitlines() if not is_setup(line))
    script = script.replace("instore node", f"instore node --port {port}").replace(":51080", f":{port}")
    assert shell(script.replace("python", str(OFFICIAL.python)), tmp_path).endswith("\nHELLO, STORE\nHELLO, STORE\n")
