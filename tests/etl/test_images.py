import sys
from pathlib import Path

import pytest

from instore.errors import ConfigurationError, InvalidRequestError
from instore.etl.images import Images, on_port
from instore.protocol.etl_spec import ETLSpec


def spec(image: str, command: list[str] | None = None, **env: str) -> ETLSpec:
    runtime = {"image": image, "env": [{"name": name, "value": value} for name, value in env.items()]}
    if command:
        runtime["command"] = command
    return ETLSpec.parse({"name": "some-etl", "communication": "hpush://", "runtime": runtime})


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("uvicorn a:b --host 0.0.0.0 --port 8000 --workers 4", "uvicorn a:b --host 127.0.0.1 --port 9 --workers 4"),
        ("uvicorn a:b --port=8000", "uvicorn a:b --port=9"),
        ("uvicorn a:b", "uvicorn a:b --port 9"),
        ("uvicorn a:b --uds /tmp/s", "uvicorn a:b --uds /tmp/s"),
        ("gunicorn a:b -b 0.0.0.0:8000 -w 4", "gunicorn a:b -b 127.0.0.1:9 -w 4"),
        ("gunicorn a:b --bind=0.0.0.0:8000", "gunicorn a:b --bind=127.0.0.1:9"),
        ("/usr/bin/gunicorn a:b", "/usr/bin/gunicorn a:b --bind 127.0.0.1:9"),
        ("gunicorn a:b -b[::]:8000", "gunicorn a:b -b127.0.0.1:9"),
        ("python server.py", "python server.py"),
        ("python -m server 8000", "python -m server 9"),
        ("python server.py --size 80000 --ratio 0.8000 --file 8000.txt", None),
    ],
)
def test_a_command_is_moved_to_its_port(command: str, changed: str | None) -> None:
    assert " ".join(on_port(command.split(), 9)) == (changed or command)


def test_a_shells_command_is_moved_too() -> None:
    script = "pip install x && exec uvicorn a:b --host 0.0.0.0 --port 8000"
    assert on_port(["sh", "-c", script], 9)[2] == "pip install x && exec uvicorn a:b --host 127.0.0.1 --port 9"


def test_a_shipped_class_is_run_by_our_runtime_with_packages_apart_if_it_has_any() -> None:
    images = Images(workers=3)
    for image in ("aistorage/runtime_python:3.11", "runtime_python", "registry.example:5000/x/runtime_python:1"):
        launch = images.launch(spec(image), 9, "/packages")
        assert launch.command[:5] == (sys.executable, "-P", "-m", "instore", "exec")
        assert launch.command[-4:] == ("--host", "127.0.0.1", "--port", "9")
        assert (launch.env, launch.workers) == ({"NUM_WORKERS": "3"}, 3)
    launch = images.launch(spec("aistorage/runtime_python:3.11", PACKAGES="pillow", NUM_WORKERS="2"), 9, "/packages")
    assert launch.command[-2:] == ("--environment", "/packages")
    assert (launch.env, launch.workers) == ({"NUM_WORKERS": "2"}, 2)


def test_an_image_is_found_with_and_without_its_tag(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    images = Images([f"me/etl={one}", f"me/etl:2={two}"])
    assert images.launch(spec("me/etl:1", ["x"]), 9, "").folder == str(one)
    assert images.launch(spec("me/etl:2", ["x"]), 9, "").folder == str(two)
    with pytest.raises(InvalidRequestError, match="--image you/etl=FOLDER"):
        images.check(spec("you/etl:1", ["x"]))
    with pytest.raises(InvalidRequestError, match=r"give it in runtime\.command"):
        images.check(spec("me/etl:1"))


def test_images_are_found_by_the_specs_beside_their_files(tmp_path: Path) -> None:
    for folder, image in (
        ("one", "me/one:1"),
        ("deep/two", "me/two"),
        ("twice/a", "me/twice"),
        ("twice/b", "me/twice"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "etl_spec.yaml").write_text(f"name: some-etl\nruntime:\n  image: {image}\n")
        (tmp_path / folder / "other.yaml").write_text("<COMMUNICATION>: [")
    images = Images(collections=[str(tmp_path)])
    assert images.launch(spec("me/one:2", ["x"]), 9, "").folder == str(tmp_path / "one")
    assert images.launch(spec("me/two", ["x"]), 9, "").folder == str(tmp_path / "deep" / "two")
    with pytest.raises(InvalidRequestError, match="--image me/twice=FOLDER to say which"):
        images.check(spec("me/twice", ["x"]))
    mapped = Images([f"me/twice={tmp_path / 'one'}"], collections=[str(tmp_path)])
    assert mapped.launch(spec("me/twice", ["x"]), 9, "").folder == str(tmp_path / "one")


@pytest.mark.parametrize(
    ("dockerfile", "command"),
    [
        ('FROM x\nCMD ["uvicorn", "a:b", \\\n  "--port", "8000"]\n', ["uvicorn", "a:b", "--port", "9"]),
        ('ENTRYPOINT ["python"]\nCMD ["first.py"]\nCMD ["server.py"]\n', ["python", "server.py"]),
        ("cmd python server.py 8000", ["sh", "-c", "python server.py 9"]),
    ],
)
def test_a_command_may_stand_in_the_dockerfile(tmp_path: Path, dockerfile: str, command: list[str]) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    launched = Images([f"me/etl={tmp_path}"]).launch(spec("me/etl"), 9, "").command
    assert list(launched[-len(command) :]) == command


@pytest.mark.parametrize(
    ("entry", "sentence"), [("x", "expected NAME=FOLDER"), ("=x", "expected"), ("x=/none", "not a")]
)
def test_a_malformed_mapping_is_refused(entry: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Images([entry])
