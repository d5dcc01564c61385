"""A listing of a container of Azure's as the store has it, by Azure's own library: also names that obstore can't read.

azure-storage-blob, an optional package, is asked for only where obstore can't read a page.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from instore.errors import RemoteStoreError
from instore.offline.s3_listing import RawName

_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME",)
_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_TOKENS = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")
"""Variables of the environment in which obstore finds one and the same."""

_CLOUD = ".blob.core.windows.net"
_TIMES: dict[str, Any] = {"connection_timeout": 10, "read_timeout": 20, "retry_total": 5, "retry_backoff_factor": 0.25}


def raw_names(bucket: str, prefix: str, after: str, endpoint: str = "", anonymous: bool = False) -> Iterator[RawName]:
    """As that of `s3_listing`; a listing here can't begin behind a name, and what comes before is passed over.

    Raises:
        ImportError: azure-storage-blob is missing; or azure-identity, where there is neither a key nor a token.
    """
    from azure.storage.blob import ContainerClient

    store = endpoint or "https://" + _variable(_ACCOUNT) + _CLOUD
    credential = None if anonymous else _credential()
    with _errors(bucket), ContainerClient(store, bucket, credential, **_TIMES) as client:
        for blob in client.list_blobs(name_starts_with=prefix):
            if blob.name > after:
                yield RawName(blob.name, blob.size, blob.last_modified, blob.etag or "")


def _credential() -> Any:
    """A key or a token of the environment; else whatever else there may be, as Azure's own library finds it."""
    if key := _variable(_KEYS):
        return {"account_name": _variable(_ACCOUNT), "account_key": key}
    if token := _variable(_TOKENS):
        return token
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _variable(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


@contextlib.contextmanager
def _errors(bucket: str) -> Iterator[None]:
    from azure.core.exceptions import AzureError

    try:
        yield
    except (AzureError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise RemoteStoreError(f"az://{bucket} can't be listed: {said}", is_away=True) from error
