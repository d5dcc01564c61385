"""`instore init`: what it makes works as it is made."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import instore
from instore.cli import main

BEGINNINGS = {"thumbnails": "thumbnails", "redact": "redact", "ffmpeg": "speech", "tar": "shard"}
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
    assert names == {
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


@pytest.mark.whole
def test_the_package_that_a_transform_needs_is_named_everywhere() -> None:
    assert run("init", "photos").exit_code == 0
    assert "pillow>=11" in Path("photos/pyproject.toml").read_text()
    assert "pillow>=11" in Path("photos/Dockerfile").read_text()


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.whole
def test_its_tests_pass_as_they_are_made(beginning: str) -> None:
    assert run("init", "made", "--from", beginning).exit_code == 0
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd="made", capture_output=True, text=True
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert " passed" in tests.stdout or beginning == "ffmpeg"  # which need not be here


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
