"""A listing of a bucket of Amazon's protocol as the store has it, by boto3: also names that obstore can't read.

obstore gives up a whole page for one such name. This is slower, and only used from such a page on.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from instore.errors import RemoteStoreError
from instore.offline.remote_bucket import shown

_CONNECT, _READ, _TRIES = 10, 20, 6
_NO_REGION = "us-east-1"  # boto3 wants one, also for a store that knows none


class RawName(NamedTuple):
    """An object as the store lists it."""

    name: str
    size: int
    modified: Any
    tag: str


def raw_names(bucket: str, prefix: str, after: str, endpoint: str = "", anonymous: bool = False) -> Iterator[RawName]:
    """The objects whose names start with `prefix` and are greater than `after`, in order, a page at a time.

    Args:
        bucket: its name.
        prefix: what names start with.
        after: what they are greater than.
        endpoint: URL of the store; empty: Amazon's own.
        anonymous: requests are not signed.

    Raises:
        RemoteStoreError: it can't be listed.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    config = Config(
        connect_timeout=_CONNECT,
        read_timeout=_READ,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        s3={"addressing_style": "path" if endpoint else "auto"},
        **({"signature_version": UNSIGNED} if anonymous else {}),
    )
    region = os.environ.get("AWS_REGION") or session.region_name or _NO_REGION
    with _errors(bucket, endpoint):
        client = session.client("s3", endpoint_url=endpoint or None, region_name=region, config=config)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=after)
        for page in pages:
            for one in page.get("Contents", ()):
                yield RawName(one["Key"], one["Size"], one["LastModified"], one.get("ETag", ""))


@contextlib.contextmanager
def _errors(bucket: str, endpoint: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    what = f"s3://{bucket} can't be listed: "
    try:
        yield
    except ClientError as error:
        status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said: Mapping[str, str] = error.response.get("Error", {})
        reason = ": ".join(filter(None, (said.get("Code"), said.get("Message")))) or "no reason given"
        store = shown(endpoint) or "the store"
        raise RemoteStoreError(f"{what}{store} answered {status}: {reason}", is_away=True) from error
    except BotoCoreError as error:
        raise RemoteStoreError(f"{what}{' '.join(str(error).split())}", is_away=True) from error
