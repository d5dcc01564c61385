"""Tell what kind of file each object is, by Google's Magika: a small neural network that looks at its bytes.

    instore transform examples/filetypes.py downloads kinds
    instore transform examples/filetypes.py downloads kinds --args least=0.9

The result is JSON: `{"kind": "python", "score": 0.998}`. Arguments: `least`, the score below which the kind is
`unknown` (default 0.5). Objects meet in batches, as a GPU wants them; on a CPU, 32 take 32 times as long.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import magika
import numpy
import onnxruntime

from instore import ETLServer

MODEL = Path(magika.__file__).parent / "models" / "standard_v3_3"


@dataclass
class Options:
    least: float = 0.5


class FileTypes(ETLServer):
    Args = Options
    max_batch_size = 32

    def __init__(self) -> None:
        self.config = json.loads((MODEL / "config.min.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # one core a worker: processes are added with --workers
        self.model = onnxruntime.InferenceSession(MODEL / "model.onnx", options)

    def warm_up(self) -> None:
        self.transform_batch([b"the first run takes longer"], ["warm-up"], Options())

    def transform_batch(self, objects: list[bytes | str], paths: list[str], args: Options) -> list[bytes | Exception]:
        features = numpy.stack([self.features(data if isinstance(data, bytes) else read(data)) for data in objects])
        (scores,) = self.model.run(["target_label"], {"bytes": features})
        return [self.describe(row, args.least) for row in scores]

    def features(self, data: bytes) -> numpy.ndarray:
        """The first and the last bytes that are no white space, as the network was trained on them."""
        begin, end, block = self.config["beg_size"], self.config["end_size"], self.config["block_size"]
        head = data[:block].lstrip()[:begin]
        tail = data[-block:].rstrip()[-end:]
        result = numpy.full(begin + end, self.config["padding_token"], numpy.int32)
        result[: len(head)] = numpy.frombuffer(head, numpy.uint8)
        result[begin + end - len(tail) :] = numpy.frombuffer(tail, numpy.uint8)
        return result

    def describe(self, scores: numpy.ndarray, least: float) -> bytes:
        best = int(scores.argmax())
        score = float(scores[best])
        kind = self.config["target_labels_space"][best] if score >= least else "unknown"
        return json.dumps({"kind": kind, "score": round(score, 3)}).encode()

    def get_mime_type(self) -> str:
        return "application/json"


def read(path: str) -> bytes:
    """A file's bytes, where the transform gets its path."""
    return Path(path).read_bytes()
