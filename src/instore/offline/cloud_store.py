"""A bucket of a cloud, through obstore: list, read, write.

obstore is an optional package. It tries a request again where that can help; its errors become `RemoteStoreError`, in
one sentence.
"""

import contextlib
import mmap
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from instore.errors import ConfigurationError, InstoreError, InvalidRequestError, RemoteStoreError, ResultExistsError
from instore.offline import azure_listing, google_listing, s3_listing
from instore.offline.cloud_errors import CloudFailure
from instore.offline.lookup import ListedObject
from instore.offline.remote_bucket import shown
from instore.offline.s3_listing import RawName
from instore.store.names import check_object_name
from instore.system.printable import printable

Result = TypeVar("Result")

SCHEMES = ("s3", "gs", "az")
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Variables that have a store's URL; the first that is set counts."""

_RAW_NAMES = {
    "s3": (s3_listing.raw_names, "boto3"),
    "gs": (google_listing.raw_names, "google-auth requests"),
    "az": (azure_listing.raw_names, "azure-storage-blob azure-identity"),
}
"""What lists a store's names as they are, and the packages that this takes."""

_BUCKET_NAME = re.compile(r"[A-Za-z0-9._$-]+")

PIECE = 4 << 20
"""Bytes that are read at once; a larger object is read in pieces of that size."""

_PART = 8 << 20  # bytes of a part of an upload in parts
_MOST_PARTS = 10_000
_PARTS_AT_ONCE = 2
_LOOKS_AT_ONCE = 16  # whether an empty object is one
PAGE = 1000  # names, as many as a store lists at once
_MARGIN = "~~~~"

_CONNECT = timedelta(seconds=10)
_LOOK = timedelta(seconds=20)  # for what has no body, or a page of names
_REQUEST = timedelta(minutes=2)  # for one piece or part, on a slow line that many share
_LEAST_PACE = 256 << 10  # bytes a second, for what can't be sent in parts
_CREDENTIALS_LAST = timedelta(minutes=5)  # then boto3 is asked for them anew, which renews what ends in ten
RETRIES: dict[str, Any] = {
    "max_retries": 5,
    "backoff": {"init_backoff": timedelta(seconds=0.25), "max_backoff": timedelta(seconds=4), "base": 2},
    "retry_timeout": timedelta(seconds=30),
}

_STANDARD = frozenset(
    ("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Storage-Class")
)
"""Attributes of an object that are not its user's metadata."""


@dataclass(frozen=True, slots=True)
class CloudOptions:
    """What a user says of the clouds among SRC and DST.

    Attributes:
        endpoint: URL of the store, where it is not the cloud's own.
        anonymous: SRC is public; it is read without credentials.
        no_clobber: a result is stored only if there is none of its name by then.
        keep_metadata: results get the user metadata of their objects.
    """

    endpoint: str = ""
    anonymous: bool = False
    no_clobber: bool = False
    keep_metadata: bool = False


NO_OPTIONS = CloudOptions()
"""What a user says who says nothing."""


class UnreadablePageError(RemoteStoreError):
    """obstore can't read a page of a listing, for a name in it."""


class CloudEntry(NamedTuple):
    """What a listing shows.

    Attributes:
        name: the object's name.
        size: its bytes.
        is_marker: it stands for a folder, and its name ends with a slash.
        modified: when it was stored, in nanoseconds of Unix time.
        tag: what the store tells its versions by; may be empty.
    """

    name: str
    size: int
    is_marker: bool
    modified: int = 0
    tag: str = ""


class CloudVersion(NamedTuple):
    """What tells one version of an object from another."""

    tag: str | None
    size: int
    changed: object
    attributes: Mapping[str, str]

    @property
    def info(self) -> Mapping[str, object]:
        """What a transform may ask of it."""
        return {
            "size": self.size,
            "etag": self.tag or "",
            "content_type": self.attributes.get("Content-Type", ""),
            "metadata": _user_metadata(self.attributes),
        }


class CloudStore:
    """A bucket, and the names in it that start with a prefix.

    Args:
        url: `s3://bucket`, `gs://bucket` or `az://container`, each with a `/prefix` or without.
        endpoint: URL of the store, where it is not the cloud's own.
        anonymous: requests are not signed.

    Attributes:
        name: the bucket's.
        prefix: what stands after the bucket's slash; may be empty.

    Raises:
        ConfigurationError: a malformed URL, no obstore, no credentials.
    """

    def __init__(self, url: str, endpoint: str = "", anonymous: bool = False) -> None:
        self.scheme, _, place = url.partition("://")
        self.name, _, self.prefix = place.partition("/")
        if not _BUCKET_NAME.fullmatch(self.name):
            raise ConfigurationError(f"{printable(url)} names no bucket; expected {self.scheme}://BUCKET[/PREFIX]")
        self._endpoint = _endpoint(self.scheme, endpoint)
        self._anonymous = anonymous
        try:
            import obstore
            import obstore.exceptions as kinds
        except ImportError as error:
            raise ConfigurationError(
                f"{printable(url)} needs obstore ({error}); run: pip install 'instore[cloud]'"
            ) from error
        self._obstore = obstore
        self._kinds = kinds
        self._credentials = {"skip_signature": True} if anonymous else self._found_credentials()
        self._pool = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="looks")
        self._looks, self._store = self._open(_LOOK), self._open(_REQUEST)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}"

    def exists(self) -> bool:
        """Whether there is such a bucket; a blocking call."""
        try:
            with self._errors("can't be listed"), contextlib.suppress(self._kinds.InvalidPathError):
                _heeding_signals(lambda: next(iter(self._obstore.list(self._looks, chunk_size=1)), None))
        except RemoteStoreError as error:
            if error.__cause__ is not None and CloudFailure(error.__cause__).status == 404:
                return False
            raise
        return True

    def entries(self, prefix: str, after: str = "") -> Iterator[CloudEntry]:
        """What there is whose name starts with `prefix` and is greater than `after`, in order.

        Listings come a page at a time; it blocks. obstore knows no slash at a name's end, and lists `x/`, by which
        tools stand for an empty folder, as `x`: what is empty is looked at. It reads no page with a name such as
        `a//b`; from there on the store itself is asked, by its own library where that is installed.

        Raises:
            RemoteStoreError: it can't be listed, or not in order, so that what is there would be missed.
        """
        last = after
        try:
            with self._errors("can't be listed"):
                for entry in self._entries(prefix, after):
                    yield entry
                    last = entry.name
        except UnreadablePageError as error:
            yield from self._raw_entries(prefix, last, error)

    def names(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        """The objects among `entries`."""
        for one in self.entries(prefix, after):
            if not one.is_marker:
                yield ListedObject(one.name, one.size, one.modified, one.tag)

    async def read(self, name: str, start: int, size: int, version: CloudVersion | None) -> tuple[bytes, CloudVersion]:
        """A piece of an object from byte `start` on, and the version it is of.

        Args:
            name: the object's.
            start: where the piece begins.
            size: of the object, as far as is known.
            version: that of the pieces before, if there were any.
        """
        what = "could not be read"
        with self._errors(what, name):
            options: dict[str, Any] = {"range": (start, start + PIECE)} if start or size > PIECE else {}
            if version is not None and version.tag:
                options["if_match"] = version.tag
            try:
                answer = await self._obstore.get_async(self._store, name, options=options)  # type: ignore[arg-type]
            except self._kinds.PreconditionError:
                raise RemoteStoreError(f"{self}/{name} changed while it was read") from None
            meta = answer.meta
            of = CloudVersion(meta["e_tag"], meta["size"], meta["last_modified"], dict(answer.attributes))
            if version not in (None, of):
                raise RemoteStoreError(f"{self}/{name} changed while it was read")
            if of.size != size:  # a new version, or an answer that is not all of it
                now = await self._obstore.head_async(self._looks, name)
                if now["size"] != of.size:
                    raise RemoteStoreError(f"{self}/{name} {what}: of its {now['size']} bytes only {of.size} came")
                return await self.read(name, start, of.size, of)
            piece = (await answer.bytes_async()).to_bytes()
        expected = min(PIECE, of.size - start) if options else of.size
        if len(piece) != expected:
            raise RemoteStoreError(f"{self}/{name} ended after {start + len(piece)} of its {of.size} bytes")
        return piece, of

    async def metadata(self, name: str) -> Mapping[str, str]:
        """The user metadata of an object."""
        with self._errors("could not be looked at", name):
            answer = await self._obstore.get_async(self._looks, name, options={"head": True})
            return _user_metadata(answer.attributes)

    def described(self, name: str) -> tuple[Mapping[str, str], int]:
        """The user metadata of an object, and when it was stored, in nanoseconds of Unix time; a blocking call.

        Of one that has just gone nothing is known.
        """
        with self._errors("could not be looked at", name):
            try:
                answer = self._obstore.get(self._looks, name, options={"head": True})
            except FileNotFoundError:
                return {}, 0
            return answer.attributes, _nanoseconds(answer.meta["last_modified"])

    def in_threads(self, function: Callable[[str], Result], names: Sequence[str]) -> list[Result]:
        """What a blocking call gives for each name, several at once."""
        return list(self._pool.map(function, names))

    async def put(
        self, name: str, content: bytes | mmap.mmap, attributes: Mapping[str, str], only_if_free: bool = False
    ) -> int:
        """Store an object, whole or not at all; its size.

        Raises:
            ResultExistsError: there is one of that name, and `only_if_free`.
        """
        size = len(content)
        in_parts = size > _PART and not only_if_free
        pace = timedelta(seconds=size // _LEAST_PACE)
        with self._errors("could not be stored", name):
            try:
                stored = await self._obstore.put_async(
                    self._store if in_parts or pace < _REQUEST else self._open(pace),
                    name,
                    content,
                    attributes=dict(attributes),
                    mode="create" if only_if_free else "overwrite",
                    use_multipart=in_parts,
                    chunk_size=max(_PART, -(-size // _MOST_PARTS)),
                    max_concurrency=_PARTS_AT_ONCE,
                )
            except self._kinds.AlreadyExistsError:
                raise ResultExistsError(f"{self}/{name} is there already") from None
            if size > _PART:
                await self._verify(name, size, stored["e_tag"])
        return size

    def content(self, name: str) -> bytes:
        """An object's bytes; a blocking call."""
        with self._errors("could not be read", name):
            return bytes(self._obstore.get(self._store, name).bytes())

    async def keep(self, name: str, data: bytes) -> None:
        """Store an object that is small."""
        await self.put(name, data, {})

    async def delete(self, name: str) -> None:
        """Remove an object; one that isn't there is none the less."""
        try:
            with self._errors("could not be removed", name):
                await self._obstore.delete_async(self._store, name)
        except RemoteStoreError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    async def _verify(self, name: str, size: int, tag: str | None) -> None:
        """Look whether all of what was stored is there; what is not would be taken for done, and is removed."""
        there = await self._obstore.head_async(self._looks, name)
        if there["size"] != size and there["e_tag"] == tag:
            await self._obstore.delete_async(self._store, name)
            raise RemoteStoreError(
                f"{self}/{name} could not be stored: of {size} bytes that were sent, the store had {there['size']}; "
                "it has been removed"
            )

    def _entries(self, prefix: str, after: str) -> Iterator[CloudEntry]:
        """Those of obstore's listing."""
        before = ""
        for one, is_there in self._listed(prefix, after):
            name, size = one["path"], one["size"]
            if name > prefix and not name.startswith(prefix):
                return
            if not is_there or (not size and name <= before):
                entry = CloudEntry(name + "/", 0, is_marker=True)
            elif name > before:
                entry = CloudEntry(name, size, False, _nanoseconds(one["last_modified"]), one["e_tag"] or "")
                before = name
            else:
                raise UnreadablePageError(
                    f"{self} can't be listed: {name!r} comes after {before!r}, out of order; "
                    "a name there may begin or end with a slash"
                )
            if entry.name.startswith(prefix) and entry.name > after:
                yield entry

    def _raw_entries(self, prefix: str, after: str, why: UnreadablePageError) -> Iterator[CloudEntry]:
        """Those of the store's own listing. A name that begins with a slash has been taken for another before."""
        slashed = next(self._raw_names("/", "", why), None) if not prefix else None
        if slashed is not None:
            raise RemoteStoreError(f"{self} can't be listed: {slashed.name!r} begins with a slash; name a prefix")
        for name, size, modified, tag in self._raw_names(prefix, after, why):
            is_marker = name.endswith("/") and not size
            yield CloudEntry(name, size, is_marker, _nanoseconds(modified), tag)

    def _raw_names(self, prefix: str, after: str, why: UnreadablePageError) -> Iterator[RawName]:
        """What the store itself lists, which is asked because of `why`."""
        raw_names, packages = _RAW_NAMES[self.scheme]
        try:
            yield from raw_names(self.name, prefix, after, self._endpoint, self._anonymous)
        except ImportError:
            hint = f"run: pip install {packages}; then that object alone fails"
            raise RemoteStoreError(f"{why}; rename that object, or {hint}") from why
        except RemoteStoreError as error:
            raise RemoteStoreError(f"{error}; it was asked for a name that obstore can't read: {why}", True) from error

    def _listed(self, prefix: str, after: str) -> Iterator[tuple[Any, bool]]:
        """Objects as obstore has them, and whether they are there; begun before the first that is wanted."""
        folder = prefix.rpartition("/")[0]
        offset = _as_offset(max(after, _just_before(prefix)))
        for page in self._obstore.list(self._looks, folder or None, offset=offset or None, chunk_size=PAGE):
            empty = [one["path"] for one in page if not one["size"] and one["path"].startswith(prefix)]
            missing = {name for name, there in zip(empty, self._pool.map(self._has, empty), strict=True) if not there}
            yield from ((one, one["path"] not in missing) for one in page)

    def _has(self, name: str) -> bool:
        try:
            self._obstore.head(self._looks, name)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _errors(self, what: str, name: str = "") -> Iterator[None]:
        """Turn obstore's errors into `RemoteStoreError`, after `what` went wrong."""
        try:
            yield
        except InstoreError:
            raise
        except (self._kinds.BaseError, FileNotFoundError, ValueError) as error:
            failure = CloudFailure(error)
            place = f"{self}/{name}" if name else str(self)
            kind = UnreadablePageError if isinstance(error, self._kinds.InvalidPathError) else RemoteStoreError
            raise kind(f"{place} {what}: {failure}", failure.is_away) from error

    def _open(self, timeout: timedelta) -> Any:
        """obstore's own store, each request of which takes `timeout` at most."""
        from obstore.store import AzureStore, GCSStore, S3Store

        kinds: dict[str, tuple[Any, str]] = {
            "s3": (S3Store, "endpoint"),
            "gs": (GCSStore, "base_url"),
            "az": (AzureStore, "endpoint"),
        }
        kind, endpoint = kinds[self.scheme]
        settings = {endpoint: self._endpoint} if self._endpoint else {}
        try:
            return kind(
                self.name,
                client_options={"allow_http": True, "connect_timeout": _CONNECT, "timeout": timeout},
                retry_config=RETRIES,
                **settings,
                **self._credentials,
            )
        except (self._kinds.BaseError, ValueError) as error:
            raise ConfigurationError(f"{self} can't be used: {CloudFailure(error)}") from error

    def _found_credentials(self) -> dict[str, Any]:
        """Settings with credentials, where obstore does not find them by itself."""
        return _credentials_of_aws(str(self)) if self.scheme == "s3" else {}


def _user_metadata(attributes: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in attributes.items() if key not in _STANDARD}


def _credentials_of_aws(place: str) -> dict[str, Any]:
    """What Amazon's own library finds: the environment, profiles, single sign-on, a machine's role."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise ConfigurationError(
            f"{printable(place)} needs boto3 for its credentials ({error}); run: pip install 'instore[cloud]'"
        ) from error
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise ConfigurationError(
                f"{printable(place)}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE; public data is read with --anonymous"
            )
        region = os.environ.get("AWS_REGION") or session.region_name
        return {
            "credential_provider": Boto3CredentialProvider(session, ttl=_CREDENTIALS_LAST),
            **({"region": region} if region else {}),
        }
    except BotoCoreError as error:
        raise ConfigurationError(f"{printable(place)}: the credentials can't be used: {error}") from error


def _endpoint(scheme: str, option: str) -> str:
    """The store's URL, by the command's option or a variable; empty: the cloud's own."""
    said_by = {"--endpoint": option, **{name: os.environ.get(name, "") for name in _ENDPOINTS[scheme]}}
    source, url = next(((source, url) for source, url in said_by.items() if url), ("", ""))
    if url and not _is_address(url):
        raise ConfigurationError(f"{source} {shown(url)} is no URL of a store; expected http://HOST or https://HOST")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    """Whether it is a URL that obstore takes; it does not survive every other."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    return is_plain and port_is_valid and parts.scheme in ("http", "https") and bool(parts.hostname)


def _heeding_signals(call: Callable[[], Result]) -> Result:
    """Make a blocking call of obstore's, which hears of no signal, so that Ctrl-C ends the wait for it."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except Exception as error:
            done.set_exception(error)
        except BaseException as panic:  # obstore's own word for what it does not survive
            done.set_exception(ConfigurationError(f"obstore can't work with a setting, such as a region: {panic}"))

    Thread(target=run, daemon=True).start()
    return done.result()


def check_cloud_name(name: str) -> None:
    """Refuse what obstore can't ask for, or what no object can be called here."""
    check_object_name(name)
    if any(character < " " or character == "\x7f" for character in name):
        raise InvalidRequestError(f"{name!r} can't be an object's name: it holds a control character")


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000) * 1_000_000


def _just_before(prefix: str) -> str:
    """A name before all that start with `prefix`, with few others between."""
    last = prefix[-1:]
    if "!" < last <= "~":
        return prefix[:-1] + chr(ord(last) - 1) + _MARGIN
    return prefix[:-1] + ("~" if last > "~" else "")


def _as_offset(name: str) -> str:
    """`name`, or one before it where obstore takes none such."""
    folder, _, last = name.rpartition("/")
    return folder if last in ("", ".", "..") else name
