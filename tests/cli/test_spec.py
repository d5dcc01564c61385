"""`instore spec`: the files that it writes, an image built from them as far as that goes without Docker, its checks."""

import json
import os
import shlex
import shutil
import site
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

import instore
from tests.offline.support import fill
from tests.support.servers import clean_environment, running_command
from tests.support.wheels import make_wheel, only_from

WHEEL = f"instore-{instore.__version__}-py3-none-any.whl"
ETL = """
    import json
    import helper
    from instore import ETLServer

    class ThumbNail(ETLServer):
        def transform(self, data, path, etl_args):
            from parts import words
            return json.dumps([helper.upper(data.decode()), words.WORDS, words.read()]).encode()
"""
FILES = {
    "etl.py": ETL,
    "helper.py": "def upper(text): return text.upper()",
    "parts/__init__.py": "",
    "parts/words.py": """
        import importlib.resources
        WORDS = ["a"]
        def read(): return importlib.resources.files("parts").joinpath("data.txt").read_text()
    """,
    "parts/data.txt": "data",
    "parts/__pycache__/words.cpython-311.pyc": "",
    "unrelated.py": "raise SystemExit",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def spec(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "instore", "spec", *arguments]
    environment = {**clean_environment(), **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def written(folder: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    """What the spec file holds after a run that must succeed."""
    run = spec(folder, *arguments, **variables)
    assert run.returncode == 0, run.stderr
    assert spec(folder, "--check", "etl_spec.yaml").stdout == "etl_spec.yaml: nothing is wrong\n"
    data: dict[str, Any] = yaml.safe_load((folder / "etl_spec.yaml").read_text())
    return data


def test_a_target_alone_is_enough(project: Path) -> None:
    assert written(project, "etl.py") == {
        "name": "thumb-nail",
        "communication": "hpush://",
        "init_timeout": "5m",
        "obj_timeout": "45s",
        "support_direct_put": True,
        "runtime": {
            "image": "thumb-nail:latest",
            "command": ["instore", "serve", "etl.py:ThumbNail", "--workers", "1"],
        },
    }


def test_options_are_what_is_written(project: Path) -> None:
    options = "--name my-etl-1 --image registry.example/me/etl:2 --workers 4 --communication hpull --no-direct-put"
    options += " --cpu 500m:2 --memory 1Gi --env SEED=7 --env A=b=c --init-timeout 1h30m --obj-timeout 90s"
    assert written(project, "etl.py:ThumbNail", *options.split()) == {
        "name": "my-etl-1",
        "communication": "hpull://",
        "init_timeout": "1h30m",
        "obj_timeout": "90s",
        "support_direct_put": False,
        "runtime": {
            "image": "registry.example/me/etl:2",
            "command": ["instore", "serve", "etl.py:ThumbNail", "--workers", "4"],
            "env": [{"name": "SEED", "value": "7"}, {"name": "A", "value": "b=c"}],
        },
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2"}},
    }


def test_the_dockerfile_copies_what_the_target_imports(project: Path) -> None:
    written(project, "etl.py", "--os-package", "ffmpeg", "--os-package", "libsndfile1", "--package", "a>=1,<2")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (project / "Dockerfile").read_text().splitlines()[1:] == [
        f"FROM python:{python}-slim",
        "RUN apt-get update \\",
        " && apt-get install --yes --no-install-recommends ffmpeg libsndfile1 \\",
        " && rm -rf /var/lib/apt/lists/*",
        f'COPY ["{WHEEL}", "/tmp/"]',
        f"RUN pip install --no-cache-dir /tmp/{WHEEL} 'a>=1,<2'",
        "WORKDIR /etl",
        'COPY ["etl.py", "./etl.py"]',
        'COPY ["helper.py", "./helper.py"]',
        'COPY ["parts", "./parts"]',
        "EXPOSE 8000",
        'CMD ["instore", "serve", "etl.py:ThumbNail", "--workers", "1"]',
    ]


def test_files_that_lie_elsewhere_are_copied_to_the_dockerfile(project: Path, tmp_path: Path) -> None:
    output = tmp_path / "image"
    assert spec(project, "etl.py", "--output", str(output)).returncode == 0
    assert {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()} == {
        *("Dockerfile", "etl_spec.yaml", WHEEL),
        *("etl.py", "helper.py", "parts/__init__.py", "parts/words.py", "parts/data.txt"),
    }


def test_files_in_a_folder_below_are_copied_from_there(project: Path) -> None:
    assert written(project.parent, f"{project.name}/etl.py")["runtime"]["command"][2] == "etl.py:ThumbNail"
    assert 'COPY ["my project/parts", "./parts"]' in (project.parent / "Dockerfile").read_text()


def test_a_target_in_a_package_takes_the_package_along(project: Path) -> None:
    (project / "parts" / "etl.py").write_text("from .words import WORDS\n" + textwrap.dedent(ETL))
    command = written(project, "parts.etl:ThumbNail")["runtime"]["command"]
    assert command[2] == "parts.etl:ThumbNail"
    copies = [line for line in (project / "Dockerfile").read_text().splitlines() if line.startswith("COPY")][1:]
    assert copies == ['COPY ["parts", "./parts"]', 'COPY ["helper.py", "./helper.py"]']


def test_an_installed_package_that_the_target_imports_is_added_with_its_version(project: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    for name in ("hill", "dale"):
        shutil.unpack_archive(make_wheel(tmp_path, name, "1.5+local"), tmp_path / "site", "zip")
    (project / "helper.py").write_text("def upper(text):\n    import hill, dale, json, absent_here\n")
    run = spec(project, "etl.py", "--package", "Hill>=1", PYTHONPATH=str(tmp_path / "site"))
    assert run.returncode == 0
    assert "added dale==1.5: etl.py imports dale\n" in run.stderr
    assert f"/tmp/{WHEEL} 'Hill>=1' dale==1.5\n" in (project / "Dockerfile").read_text()


def test_nothing_is_overwritten_unless_it_is_asked_for(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM mine\n")
    refused = spec(project, "etl.py")
    assert refused.returncode == 2
    assert refused.stderr.endswith("/Dockerfile would be overwritten; nothing was written; --force does it\n")
    assert not (project / "etl_spec.yaml").exists()
    assert (project / "Dockerfile").read_text() == "FROM mine\n"
    assert spec(project, "etl.py", "--force").returncode == 0
    again = spec(project, "etl.py")
    assert (again.returncode, again.stderr.splitlines()[0]) == (0, "all is there already")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "give either a TRANSFORM to write for, or --check FILE"),
        ("etl.py --check etl_spec.yaml", "give either a TRANSFORM to write for, or --check FILE"),
        ("none.py", "there is no file none.py"),
        ("etl.py:Nope", "etl.py has no class Nope"),
        ("etl.py --name A", "name: a name has 6 to 32 characters; 'A' has 1"),
        ("etl.py --communication ws --no-direct-put", "communication: ws:// needs direct put"),
        (
            "etl.py --init-timeout soon --obj-timeout 5",
            "init_timeout: 'soon' is not a valid duration: write 45s, 5m or 1h30m; ",
        ),
        ("etl.py --env A", "--env 'A' has no value; it takes NAME=VALUE"),
        ("etl.py --env 1=2", "runtime.env[0].name: '1' is not a valid variable name"),
        ("etl.py --env AIS_TARGET_URL=x", "runtime.env[0].name: AIS_TARGET_URL is set by the cluster"),
        ("etl.py --cpu lots", "resources.requests.cpu: 'lots' is not a valid amount"),
        ("etl.py --cpu 2:1", "resources.requests.cpu: is more than its limit"),
        ("etl.py --image 'My Image'", "runtime.image: 'My Image' is not a valid image name"),
        ("etl.py --package a,b", "--package takes a requirement such as pillow"),
        ("etl.py --os-package -y", "--os-package has the entry '-y', which is not a valid package name"),
        ("etl.py --os-package 'a;b'", "--os-package has the entry 'a;b', which is not a valid package name"),
    ],
)
def test_what_can_not_be_written_is_one_line_and_code_2(project: Path, arguments: str, sentence: str) -> None:
    before = sorted(project.rglob("*"))
    run = spec(project, *shlex.split(arguments), PYTHONDONTWRITEBYTECODE="1")
    assert run.returncode == 2
    assert f"instore: {sentence}" in run.stderr.splitlines()[-1]
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "etl"),
    [("Echo", "etl-echo"), ("MD5Hash", "md5-hash"), ("my_own_etl", "my-own-etl"), ("X" * 40, "x" * 32)],
)
def test_a_name_is_made_of_the_classes(project: Path, name: str, etl: str) -> None:
    (project / "etl.py").write_text(textwrap.dedent(ETL).replace("ThumbNail", name))
    assert written(project, "etl.py")["name"] == etl


def test_a_file_is_checked_and_every_fault_is_a_line(project: Path) -> None:
    (project / "bad.yaml").write_text("name: A\ncommunication: x\n")
    run = spec(project, "--check", "bad.yaml")
    assert run.returncode == 1
    assert run.stdout.splitlines() == [
        "bad.yaml:1: has no runtime",
        "bad.yaml:1: name: a name has 6 to 32 characters; 'A' has 1",
        "bad.yaml:2: communication: 'x' is not one of hpush://, hpull://, ws://",
        "bad.yaml: 3 faults",
    ]
    assert spec(project, "--check", "none.yaml").returncode == 2


class Image:
    """What a Dockerfile of ours builds, step by step, in folders of this machine.

    The packages that instore needs are those of this environment; pip installs all else into a new one.
    """

    def __init__(self, context: Path, root: Path) -> None:
        self.root = root
        self.command: list[str] = []
        self._context = context
        self._folder = root
        venv.EnvBuilder().create(root / "venv")
        [site_packages] = (root / "venv").glob("lib/*/site-packages")
        lines = [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
        (site_packages / "beside.pth").write_text("\n".join(lines))
        for line in (context / "Dockerfile").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if word in ("COPY", "RUN", "WORKDIR", "CMD"):
                getattr(self, f"_{word.lower()}")(rest)

    def _copy(self, rest: str) -> None:
        source, destination = json.loads(rest)
        place = self._place(destination)
        if (self._context / source).is_dir():
            shutil.copytree(self._context / source, place)
        else:
            shutil.copy(self._context / source, place / Path(source).name if destination.endswith("/") else place)

    def _run(self, rest: str) -> None:
        program, *arguments = shlex.split(rest)
        assert program == "pip"
        found = [str(self._place(one)) if one.startswith("/tmp/") else one for one in arguments]
        # The instore beside the environment has the wheel's version: without this pip would keep it.
        options = ["--quiet", "--ignore-installed", "--no-deps"]
        subprocess.run([self.root / "venv/bin/python", "-m", "pip", *found, *options], check=True)

    def _workdir(self, rest: str) -> None:
        self._folder = self._place(rest)
        self._folder.mkdir()

    def _cmd(self, rest: str) -> None:
        self.command = json.loads(rest)

    def _place(self, path: str) -> Path:
        place = self.root / path[1:] if path.startswith("/") else self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            place.mkdir(exist_ok=True)
        return place

    @property
    def folder(self) -> Path:
        """Where the command runs."""
        return self._folder


def test_a_job_has_a_pod_for_each_part(project: Path) -> None:
    places = ("--source", "ais://photos", "--destination", "ais://small/b")
    written(project, "etl.py", "--job", "3", *places, "--env", "AIS_ENDPOINT=http://proxy", "--cpu", "1:2")
    job = yaml.safe_load((project / "job.yaml").read_text())
    assert (job["apiVersion"], job["kind"], job["metadata"]) == ("batch/v1", "Job", {"name": "thumb-nail"})
    pod = job["spec"].pop("template")["spec"]
    assert job["spec"] == {
        "completionMode": "Indexed",
        "completions": 3,
        "parallelism": 3,
        "backoffLimitPerIndex": 3,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}]},
    }
    how = ["--workers", "1", "--part", "auto/3", "--continue-on-error"]
    container = {
        "name": "thumb-nail",
        "image": "thumb-nail:latest",
        "command": ["instore", "transform", "etl.py:ThumbNail", "ais://photos", "ais://small/b", *how],
        "env": [{"name": "AIS_ENDPOINT", "value": "http://proxy"}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
    }
    assert pod == {"restartPolicy": "Never", "containers": [container]}
    assert f"'/tmp/{WHEEL}[ais]'" in (project / "Dockerfile").read_text()


@pytest.mark.whole
def test_the_pods_of_a_job_do_the_whole_job(project: Path, tmp_path: Path) -> None:
    fill(tmp_path / "src", [str(number) for number in range(20)])
    places = ("--source", f"{tmp_path}/src", "--destination", f"{tmp_path}/dst")
    written(project, "etl.py", "--job", "2", *places, "--volume", f"data:{tmp_path}")
    [container] = yaml.safe_load((project / "job.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    assert container["volumeMounts"] == [{"name": "data", "mountPath": str(tmp_path)}]
    for index in "01":
        command = [sys.executable, "-m", *container["command"]]
        environment = {**clean_environment(), "JOB_COMPLETION_INDEX": index}
        subprocess.run(command, cwd=project, env=environment, check=True)
    assert len(list((tmp_path / "dst").iterdir())) == 20


@pytest.mark.whole
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--job", "2"), "--job needs --source and --destination"),
        (("--source", "ais://a"), "add --job N"),
        (("--job", "2", "--source", "ais://a", "--destination", "ais://b"), "--env AIS_ENDPOINT="),
        (
            ("--job", "2", "--source", "/a", "--destination", "/d/../b", "--volume", "c:/d"),
            "/a is neither a bucket nor",
        ),
        (("--job", "2", "--source", "/d", "--destination", "/d/../b", "--volume", "c:/d"), "/d/../b is neither"),
        (("--job", "2", "--source", "/d", "--destination", "/d/b", "--volume", "c:d"), "it takes CLAIM:/PATH"),
    ],
)
def test_a_job_that_no_pod_could_do_is_refused(project: Path, options: tuple[str, ...], sentence: str) -> None:
    run = spec(project, "etl.py", *options)
    assert (run.returncode, sentence in run.stderr) == (2, True)
    assert not (project / "Dockerfile").exists()


@pytest.mark.whole
def test_an_image_built_from_the_dockerfile_serves_the_transform(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "hill", "1.5")
    for name, value in only_from(wheels).items():
        monkeypatch.setenv(name, value)
    (project / "helper.py").write_text("import instore, os\ndef upper(text):\n    import hill\n")
    with (project / "helper.py").open("a") as helper:
        helper.write("    return [text.upper(), hill.VERSION, os.path.dirname(instore.__file__)]\n")
    written(project, "etl.py", "--package", "hill", "--workers", "2", "--output", ".")
    image = Image(project, tmp_path / "root")
    shutil.rmtree(project)
    program, *arguments = image.command
    command = [str(image.root / "venv" / "bin" / program), *arguments, "--host", "127.0.0.1", "--port", "0"]
    with running_command(image.folder, command, {"PATH": os.environ["PATH"]}) as server:
        [upper, words, data] = requests.put(f"{server.url}/b/o", data=b"abc").json()
    assert (words, data) == (["a"], "data")
    assert upper[:2] == ["ABC", "1.5"]
    assert Path(upper[2]).is_relative_to(image.root)


@pytest.mark.parametrize("command", ["serve", "runtime", "spec", "transform", "pack", "unpack"])
def test_help_fits_a_screen(command: str) -> None:
    run = subprocess.run([sys.executable, "-m", "instore", command, "--help"], capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert 0 < len(lines) <= 44
    assert max(map(len, lines)) <= 80
