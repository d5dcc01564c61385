"""What an ETL server finds in its environment (protocol section 1), read once into a frozen dataclass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from instore.errors import ConfigurationError

TARGET_URL = "AIS_TARGET_URL"
FILE_ROOTS = "INSTORE_FILE_ROOTS"

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f", ""})


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings of one ETL server process.

    Attributes:
        target_url: base URL of the local target, secret included, without a trailing slash.
        direct_put: the target supports delivery straight to the destination.
        direct_fqn: a buffered `transform` gets the file's path instead of bytes wherever a request names a file.
        direct_put_retries: how often a transient failure of a direct put is retried.
        direct_put_chunk_size: bytes of one chunk of a streamed upload.
        timeout: seconds without progress after which an outbound request counts as failed.
        max_conn: outbound connections at once.
        max_keepalive_conn: idle outbound connections that are kept.
        keepalive_expiry: seconds after which an idle outbound connection is closed.
        skip_verify: don't verify the target's certificate.
        client_ca: path of a CA bundle; empty: the system's.
        crt, crt_key: paths of a client certificate and its key, for mutual TLS; empty: none.
        authn_token: bearer token for every outbound request; empty: none.
        file_roots: folders below which any file may be named by a request, besides the store's own layout.
    """

    target_url: str
    direct_put: bool = False
    direct_fqn: bool = False
    direct_put_retries: int = 3
    direct_put_chunk_size: int = 1 << 20
    timeout: float = 300.0
    max_conn: int = 256
    max_keepalive_conn: int = 128
    keepalive_expiry: float = 30.0
    skip_verify: bool = False
    client_ca: str = ""
    crt: str = ""
    crt_key: str = ""
    authn_token: str = field(default="", repr=False)
    file_roots: tuple[str, ...] = ()

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Read the settings from `variables`, usually `os.environ`.

        Raises:
            ConfigurationError: the target's URL is missing or not a URL, or a value is not of its kind.
        """
        values = {
            name: parse(variable, variables[variable])
            for name, (variable, parse) in _VARIABLES.items()
            if variable in variables
        }
        if not values.get("skip_verify") and "AIS_SKIP_VERIFY" in variables:
            values["skip_verify"] = _flag("AIS_SKIP_VERIFY", variables["AIS_SKIP_VERIFY"])
        if not values.get("target_url"):
            raise ConfigurationError(
                f"no target URL: set {TARGET_URL} (or give --target-url) to the base URL of the local target, "
                "http://HOST:PORT/v1/etl/_object/<etl-name>/<secret>"
            )
        return cls(**values)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no answer and no log may hold: the target URL's path, with the secret in it, and the token."""
        path = urlsplit(self.target_url).path
        return tuple(secret for secret in (path, path.rpartition("/")[2], self.authn_token) if len(secret) > 1)

    def redact(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "[secret]")
        return text


def _flag(variable: str, value: str) -> bool:
    lowered = value.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ConfigurationError(f"{variable}={value!r} is neither true nor false")
    return lowered in _TRUE


def _number(kind: Callable[[str], Any], least: float) -> Callable[[str, str], Any]:
    def parse(variable: str, value: str) -> Any:
        try:
            number = kind(value)
        except ValueError as error:
            raise ConfigurationError(f"{variable}={value!r} is not a number") from error
        if not least <= number < float("inf"):
            raise ConfigurationError(f"{variable}={value!r} is out of range: at least {least:g}")
        return number

    return parse


def _text(_variable: str, value: str) -> str:
    return value.strip()


def _url(variable: str, value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        complete = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        complete = False
    if value.strip() and not complete:
        raise ConfigurationError(
            f"{variable} is not a URL; expected http://HOST:PORT/v1/etl/_object/<etl-name>/<secret>"
        )
    return value.strip().rstrip("/")


def _folders(variable: str, value: str) -> tuple[str, ...]:
    folders = tuple(folder for folder in value.split(":") if folder)
    for folder in folders:
        if not folder.startswith("/"):
            raise ConfigurationError(f"{variable} has the entry {folder!r}, which is not an absolute path")
    return folders


_VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "target_url": (TARGET_URL, _url),
    "direct_put": ("DIRECT_PUT", _flag),
    "direct_fqn": ("ETL_DIRECT_FQN", _flag),
    "direct_put_retries": ("AIS_DIRECT_PUT_RETRIES", _number(int, 0)),
    "direct_put_chunk_size": ("AIS_DIRECT_PUT_CHUNK_SIZE", _number(int, 1)),
    "timeout": ("INSTORE_TIMEOUT", _number(float, 0.001)),
    "max_conn": ("MAX_CONN", _number(int, 1)),
    "max_keepalive_conn": ("MAX_KEEPALIVE_CONN", _number(int, 0)),
    "keepalive_expiry": ("KEEPALIVE_EXPIRY", _number(float, 0)),
    "skip_verify": ("AIS_SKIP_VERIFY_CRT", _flag),
    "client_ca": ("AIS_CLIENT_CA", _text),
    "crt": ("AIS_CRT", _text),
    "crt_key": ("AIS_CRT_KEY", _text),
    "authn_token": ("AIS_AUTHN_TOKEN", _text),
    "file_roots": (FILE_ROOTS, _folders),
}
