import json
from pathlib import Path

import magika
import pytest

from instore.server.arguments import decoder_of
from tests.examples.support import airports, gather, load, photograph, run_command


def kinds(objects: list[bytes | str], options: str = "") -> list[dict[str, object]]:
    """What the example says of each object."""
    example = load("filetypes.py")
    args = decoder_of("FileTypes", example.Args)(options)
    results = example.transform_batch(objects, ["b/o"] * len(objects), args)
    assert isinstance(results, list)
    return [json.loads(result) for result in results]  # type: ignore[arg-type]


def files() -> list[Path]:
    """Files of many kinds that packages ship."""
    package = Path(magika.__file__).parent
    found = [path for path in package.rglob("*") if path.suffix in (".py", ".onnx", ".json", ".md", ".typed")]
    return [*found, airports(), photograph("rocket.jpg"), photograph("chelsea.png"), Path(json.__file__)]


def test_every_file_is_what_the_models_own_package_says() -> None:
    own = magika.Magika()
    data = [path.read_bytes() for path in files()]
    said = kinds(list(data), "least=0")
    for content, answer in zip(data, said, strict=True):
        if len(content) >= 8:
            expected = own.identify_bytes(content)
            assert (answer["kind"], answer["score"]) == (expected.dl.label, pytest.approx(expected.score, abs=0.01))


def test_a_folder_is_told_apart_in_batches(tmp_path: Path) -> None:
    names = {"rocket.jpg": "jpeg", "chelsea.png": "png", "astronaut.png": "png"}
    folder = gather(tmp_path / "in", *map(photograph, names), airports(), Path(json.__file__))
    run_command("filetypes.py", folder, tmp_path / "kinds")
    told = {path.name: json.loads(path.read_bytes())["kind"] for path in (tmp_path / "kinds").iterdir()}
    assert told == {**names, "airports.csv": "csv", "__init__.py": "python"}


def test_what_it_is_not_sure_of_is_unknown() -> None:
    (answer,) = kinds([b"a few words of no kind"], "least=0.9999")
    assert answer["kind"] == "unknown"


def test_a_path_gives_the_same_as_its_bytes() -> None:
    rocket = photograph("rocket.jpg")
    assert kinds([str(rocket)]) == kinds([rocket.read_bytes()])
