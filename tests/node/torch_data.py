"""The official SDK's data sets for PyTorch over a store: in this process, in the loader's workers, and through an ETL.

AIS_ENDPOINT=http://127.0.0.1:51080 python torch_data.py ETL
"""

import io
import os
import sys
import tarfile

from aistore import Client
from aistore.pytorch import AISIterDataset, AISMapDataset, AISParallelMapDataset, AISShardReader
from torch.utils.data import DataLoader

client = Client(os.environ["AIS_ENDPOINT"])
samples = client.bucket("samples").create()
expected = {}
for number in range(40):
    name = f"{'train' if number % 4 else 'test'}/{number:02}"
    expected[name] = f"sample {number}".encode() * (number + 1)
    samples.object(name).get_writer().put_content(expected[name])
upper = {name: content.upper() for name, content in expected.items()}


def loaded(dataset, workers):
    """What a loader makes of a data set, by name; each sample once."""
    found = {}
    for names, contents in DataLoader(dataset, batch_size=3, num_workers=workers):
        for name, content in zip(names, contents, strict=True):
            assert name not in found, name
            found[name] = content
    return found


# Map and iterable data sets

mapped = AISMapDataset(samples)
assert len(mapped) == 40
assert dict(mapped[index] for index in range(40)) == expected
name, pieces = AISParallelMapDataset(samples, num_workers=2)[7]  # read in ranges, by processes
with pieces as content:
    assert content.tobytes() == expected[name]
for workers in (0, 3):
    assert loaded(mapped, workers) == expected
    assert loaded(AISIterDataset(samples), workers) == expected

# Some of the objects, and the results of an ETL

train = AISIterDataset(samples, prefix_map={samples: "train/"})
assert loaded(train, 2) == {name: content for name, content in expected.items() if name.startswith("train/")}
for workers in (0, 2):
    assert loaded(AISMapDataset(samples, etl_name=sys.argv[1]), workers) == upper
    assert loaded(AISIterDataset(samples, etl_name=sys.argv[1]), workers) == upper

# Shards

shards = client.bucket("shards").create()
for shard in range(2):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for sample in range(3):
            for kind in ("txt", "cls"):
                content = f"{kind} {shard} {sample}".encode()
                member = tarfile.TarInfo(f"{shard}-{sample}.{kind}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    shards.object(f"{shard}.tar").get_writer().put_content(packed.getvalue())
read = {name: dict(content) for name, content in AISShardReader(shards)}
assert len(read) == 6, read
for name, content in read.items():
    assert sorted(content.values()) == sorted(f"{kind} {name.replace('-', ' ')}".encode() for kind in ("txt", "cls")), (
        name,
        content,
    )

print("done")
