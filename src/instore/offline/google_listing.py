"""A listing of a bucket of Google's as the store has it, by its JSON API: also names that obstore can't read.

google-auth, an optional package, finds the credentials; only where obstore can't read a page is it asked for.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from instore.errors import RemoteStoreError
from instore.offline.remote_bucket import innermost, shown
from instore.offline.s3_listing import RawName

_STORE = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
_ACCOUNT_FILES = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")
_ACCOUNT_KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"
"""Variables that obstore reads before those that google-auth knows, too."""

_TIMES = (10, 20)  # seconds to connect, and for an answer
_TRIES, _PAUSE = 6, 0.25
_PASSING = (429, 500, 502, 503, 504)  # statuses that may pass


def raw_names(bucket: str, prefix: str, after: str, endpoint: str = "", anonymous: bool = False) -> Iterator[RawName]:
    """As that of `s3_listing`; the names have no tags, which this API has otherwise than obstore.

    Raises:
        ImportError: google-auth or requests is missing.
    """
    what = f"gs://{bucket} can't be listed: "
    url = f"{endpoint or _STORE}/storage/v1/b/{quote(bucket, safe='')}/o"
    fields = "nextPageToken,items(name,size,updated)"
    asked = {"prefix": prefix, "startOffset": after, "maxResults": "1000", "fields": fields}
    with _errors(what, endpoint or _STORE), _session(anonymous) as session:
        while True:
            answer = session.get(url, params=asked, timeout=_TIMES)
            if answer.status_code != 200:
                reason = " ".join(answer.text.split())[:200] or "no reason given"
                raise RemoteStoreError(
                    f"{what}{shown(endpoint or _STORE)} answered {answer.status_code}: {reason}", is_away=True
                )
            page = answer.json()
            for one in page.get("items", ()):
                if one["name"] > after:
                    yield RawName(one["name"], int(one["size"]), datetime.fromisoformat(one["updated"]), "")
            if "nextPageToken" not in page:
                return
            asked["pageToken"] = page["nextPageToken"]


def _session(anonymous: bool) -> Any:
    """What requests are sent by, with the credentials that obstore finds."""
    import google.auth
    import requests
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    account = _account()
    if anonymous or (account or {}).get("disable_oauth"):  # as obstore has it, for emulators
        session = requests.Session()
    elif account is not None:
        session = AuthorizedSession(google.auth.load_credentials_from_dict(account, scopes=_SCOPES)[0])
    else:
        session = AuthorizedSession(google.auth.default(scopes=_SCOPES)[0])
    retry = Retry(_TRIES - 1, backoff_factor=_PAUSE, status_forcelist=_PASSING, raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _account() -> Any:
    """The account that obstore is given by variables of its own; None: there is none."""
    if os.environ.get(_ACCOUNT_KEY):
        return json.loads(os.environ[_ACCOUNT_KEY])
    path = next((os.environ[name] for name in _ACCOUNT_FILES if os.environ.get(name)), "")
    return json.loads(Path(path).read_bytes()) if path else None


@contextlib.contextmanager
def _errors(what: str, store: str) -> Iterator[None]:
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except RequestException as error:
        raise RemoteStoreError(
            f"{what}{shown(store)} can't be reached or broke off: {innermost(error)}", is_away=True
        ) from error
    except (GoogleAuthError, ValueError, KeyError, OSError) as error:
        raise RemoteStoreError(f"{what}{' '.join(str(error).split())}", is_away=True) from error
