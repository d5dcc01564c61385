"""What people write today in place of `instore transform` from a bucket: boto3, and a pool of threads."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

_THREADS = 16


def _names(client: Any, bucket: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from (entry["Key"] for entry in page.get("Contents", ()))


def _transform(data: bytes) -> bytes:
    return data


def _write(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(path.name + ".partial")
    partial_path.write_bytes(data)
    os.rename(partial_path, path)


def main(source: str, destination: str) -> None:
    """Every object of the bucket SOURCE into another, `s3://BUCKET`, or into a folder."""
    client = boto3.client("s3", config=Config(max_pool_connections=_THREADS))
    keep: Callable[[str, bytes], object] = partial(_write, Path(destination))
    if destination.startswith("s3://"):
        to = destination.removeprefix("s3://")
        keep = lambda name, data: client.put_object(Bucket=to, Key=name, Body=data)  # noqa: E731

    def put_through(name: str) -> None:
        keep(name, _transform(client.get_object(Bucket=source, Key=name)["Body"].read()))

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(put_through, _names(client, source)):
            pass


if __name__ == "__main__":
    main(sys.argv[1].removeprefix("s3://"), sys.argv[2])
