import json
import re
from pathlib import Path
from typing import Any

import magika
import pytest
from aistore.sdk.etl import ETLConfig

from instore.server.arguments import decoder_of
from tests.examples.support import airports, gather, load, photograph, run_command
from tests.support.node import running_node


def kinds(objects: list[bytes | str], options: str = "") -> list[dict[str, object]]:
    """What the example says of each object."""
    example = load("filetypes.py")
    args = decoder_of("FileTypes", example.Args)(options)
    results = example.transform_batch(objects, ["b/o"] * len(objects), args)
    assert isinstance(results, list)
    return [json.loads(result) for result in results]


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


@pytest.mark.whole
def test_a_bucket_is_told_apart_in_batches_and_one_poisoned_object_of_a_thousand_fails_alone(tmp_path: Path) -> None:
    example: Any = type(load("filetypes.py"))

    class Told(example):  # type: ignore[misc]
        def transform_batch(self, objects: list[bytes], paths: list[str], args: Any) -> list[bytes | Exception]:
            print("a batch of", len(objects))
            if b"poison" in objects:
                raise ValueError("it is poisoned")
            results: list[bytes | Exception] = super().transform_batch(objects, paths, args)
            return results

    rocket, source = photograph("rocket.jpg").read_bytes()[:5000], Path(json.__file__).read_bytes()
    with running_node(tmp_path) as node:
        client = node.client()
        bucket = client.bucket("mixed").create()
        for number in range(1000):
            data = b"poison" if number == 500 else rocket if number % 2 else source
            bucket.object(f"{number:04}").get_writer().put_content(data)
        client.etl("kind-etl").init_class()(Told)
        told = bucket.object("0001").get_reader(etl=ETLConfig("kind-etl")).read_all()
        assert json.loads(told)["kind"] == "jpeg"
        job = client.job(bucket.transform("kind-etl", client.bucket("kinds"), cont_on_err=True))
        job.wait(verbose=False, timeout=120)
        results = {entry.name for entry in client.bucket("kinds").list_all_objects()}
        assert results == {f"{number:04}" for number in range(1000)} - {"0500"}
        for number in (0, 1, 499, 501, 999):
            kind = json.loads(client.bucket("kinds").object(f"{number:04}").get_reader().read_all())["kind"]
            assert kind == ("jpeg" if number % 2 else "python")
        (log,) = [str(one.logs) for one in client.etl("kind-etl").logs()]
    sizes = [int(size) for size in re.findall(r"a batch of (\d+)", log)]
    assert max(sizes) > 8
