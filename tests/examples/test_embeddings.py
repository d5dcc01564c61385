import io
from importlib.metadata import distribution
from pathlib import Path

import numpy
import pytest

from tests.examples.support import gather, load, names_in, python_sources, run_command

CAT, BANK = "A cat sits on the mat.", "The central bank raised interest rates by a quarter of a point."
LICENCES = {"MIT": ("rich", "attrs"), "BSD": ("click", "flask"), "Apache": ("aiohttp", "multidict")}


def rows(*texts: str | bytes) -> list[numpy.ndarray]:
    """What the example makes of texts that are in one batch."""
    objects: list[bytes | str] = [text.encode() if isinstance(text, str) else text for text in texts]
    results = load("embeddings.py").transform_batch(objects, ["texts/o"] * len(objects), "")
    assert isinstance(results, list)
    return [numpy.load(io.BytesIO(result)) for result in results if isinstance(result, bytes)]


def licence(package: str) -> Path:
    """The file of a package's licence."""
    found = next(file for file in distribution(package).files or () if "LICENSE" in file.name.upper())
    return Path(str(distribution(package).locate_file(found)))


def test_texts_that_mean_the_same_lie_near_each_other() -> None:
    cat, kitten, bank = rows(CAT, "A kitten is lying on a rug.", BANK)
    assert cat.shape == (1, 384)
    assert cat.dtype == numpy.float32
    assert numpy.linalg.norm(cat) == pytest.approx(1)
    assert (cat @ kitten.T).item() > 0.5
    assert abs((cat @ bank.T).item()) < 0.1


def test_licences_of_one_kind_lie_nearer_to_each_other_than_to_the_others() -> None:
    beginnings = [licence(package).read_bytes()[:600] for packages in LICENCES.values() for package in packages]
    vectors = numpy.concatenate([row[:1] for row in rows(*beginnings)])
    near = vectors @ vectors.T
    numpy.fill_diagonal(near, -1)
    assert list(near.argmax(axis=1)) == [1, 0, 3, 2, 5, 4]


def test_each_of_a_batch_gets_what_it_gets_alone() -> None:
    texts = [f"{word} " * length for word, length in (("cat", 1), ("money", 300), ("rain", 40), ("tree", 3))]
    for text, together in zip(texts, rows(*texts), strict=True):
        (alone,) = rows(text)
        assert together.shape == alone.shape
        assert (together * alone).sum(axis=1) == pytest.approx(1, abs=0.01)


def test_nothing_of_a_long_text_is_left_out() -> None:
    example = load("embeddings.py")
    text = python_sources(4_000)[:4_000].decode(errors="ignore")
    parts = example.split(text)  # type: ignore[attr-defined]
    tokens = [token for part in parts for token in part.ids if token not in (101, 102)]  # [CLS] and [SEP]
    example.tokenizer.no_truncation()  # type: ignore[attr-defined]
    assert tokens == example.tokenizer.encode(text, add_special_tokens=False).ids  # type: ignore[attr-defined]
    assert max(len(part.ids) for part in parts) == 256
    assert rows(text)[0].shape == (len(parts), 384)


def test_what_is_no_text_fails_alone() -> None:
    results = load("embeddings.py").transform_batch([CAT.encode(), b"\xff\xfe", b" \n"], ["a", "b", "c"], "")
    assert isinstance(results, list)
    assert isinstance(results[0], bytes)
    assert str(results[1]).startswith("this is not a text in UTF-8")
    assert str(results[2]) == "there is no text in it, so it means nothing"


def test_another_model_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = load("embeddings.py")
    weights, tokenizer = type(example).__init__.__globals__["find_model"]()
    (tmp_path / "model.onnx").symlink_to(weights)
    (tmp_path / "tokenizer.json").symlink_to(tokenizer)
    before = rows(CAT)
    monkeypatch.setenv("EMBEDDING_MODEL", str(tmp_path))
    assert (rows(CAT)[0] == before[0]).all()
    monkeypatch.setenv("EMBEDDING_MODEL", str(tmp_path / "none"))
    with pytest.raises(Exception, match=r"none/model\.onnx"):
        load("embeddings.py")


def test_a_folder_of_texts_becomes_a_folder_of_arrays(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    gather(folder / "mit", licence("rich"))
    gather(folder / "bsd", licence("click"))
    run_command("embeddings.py", folder, tmp_path / "vectors")
    assert names_in(tmp_path / "vectors") == names_in(folder)
    for name in names_in(folder):
        made = numpy.load(tmp_path / "vectors" / name)
        assert (made * rows((folder / name).read_bytes())[0]).sum(axis=1) == pytest.approx(1, abs=0.01)
