"""The environment: every variable's name, and what an ETL server reads of it (docs/protocol.md#environment), once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from posixpath import normpath
from typing import Any
from urllib.parse import urlsplit

from instore.errors import ConfigurationError, MissingTargetError
from instore.protocol.names import unescape
from instore.protocol.values import parse_flag

# What a target sets, by AIStore's names.
AIS_TARGET_URL = "AIS_TARGET_URL"
DIRECT_PUT = "DIRECT_PUT"
ETL_DIRECT_FQN = "ETL_DIRECT_FQN"
AIS_DIRECT_PUT_RETRIES = "AIS_DIRECT_PUT_RETRIES"
AIS_DIRECT_PUT_CHUNK_SIZE = "AIS_DIRECT_PUT_CHUNK_SIZE"
MAX_CONN = "MAX_CONN"
KEEPALIVE_EXPIRY = "KEEPALIVE_EXPIRY"
AIS_SKIP_VERIFY = "AIS_SKIP_VERIFY"
AIS_SKIP_VERIFY_CRT = "AIS_SKIP_VERIFY_CRT"
AIS_CLIENT_CA = "AIS_CLIENT_CA"
AIS_CRT = "AIS_CRT"
AIS_CRT_KEY = "AIS_CRT_KEY"
AIS_AUTHN_TOKEN = "AIS_AUTHN_TOKEN"  # noqa: S105 - the variable's name
# What a container finds besides: a class, and what it needs.
ETL_CLASS_PAYLOAD = "ETL_CLASS_PAYLOAD"
PACKAGES = "PACKAGES"
OS_PACKAGES = "OS_PACKAGES"
NUM_WORKERS = "NUM_WORKERS"
PORT = "PORT"
# What a client of a store finds.
AIS_ENDPOINT = "AIS_ENDPOINT"
# What says which of several processes of a job this one is.
JOB_COMPLETION_INDEX = "JOB_COMPLETION_INDEX"
SLURM_ARRAY_TASK_ID = "SLURM_ARRAY_TASK_ID"
SLURM_ARRAY_TASK_COUNT = "SLURM_ARRAY_TASK_COUNT"
SLURM_ARRAY_TASK_MIN = "SLURM_ARRAY_TASK_MIN"
SLURM_ARRAY_TASK_MAX = "SLURM_ARRAY_TASK_MAX"
AWS_BATCH_JOB_ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
AWS_BATCH_JOB_ARRAY_SIZE = "AWS_BATCH_JOB_ARRAY_SIZE"
# Our own.
INSTORE_TIMEOUT = "INSTORE_TIMEOUT"
INSTORE_TRANSFORM_TIMEOUT = "INSTORE_TRANSFORM_TIMEOUT"
INSTORE_DOWNLOAD_LOCAL = "INSTORE_DOWNLOAD_LOCAL"
INSTORE_MAX_MESSAGE = "INSTORE_MAX_MESSAGE"
INSTORE_SPOOL = "INSTORE_SPOOL"
INSTORE_FILE_ROOTS = "INSTORE_FILE_ROOTS"
INSTORE_NEXT_HOPS = "INSTORE_NEXT_HOPS"
INSTORE_FRAMES = "INSTORE_FRAMES"
INSTORE_QUEUE = "INSTORE_QUEUE"
INSTORE_OBJECT_TIME = "INSTORE_OBJECT_TIME"
INSTORE_TLS = "INSTORE_TLS"
INSTORE_DEVICE = "INSTORE_DEVICE"
"""What a transform finds as `self.device`."""
INSTORE_ARGS = "INSTORE_ARGS"
"""Arguments that every request will have: a process that does not take them ends at its start."""
INSTORE_MEMBERS = "INSTORE_MEMBERS"
INSTORE_MEMBERS_ON_ERROR = "INSTORE_MEMBERS_ON_ERROR"
INSTORE_MEMBERS_LOG = "INSTORE_MEMBERS_LOG"
INSTORE_TRACES = "INSTORE_TRACES"
LIMIT_PREFIX = "INSTORE_"
"""Before the name of each of the server's bounds (docs/limits.md)."""
INSTORE_PORT = "INSTORE_PORT"
"""Where a server listens that shares this machine's ports with others."""
INSTORE_METRICS = "INSTORE_METRICS"
"""DESCRIPTOR:NUMBER of the file in which a worker counts, and of its page there."""
INSTORE_PARENT_FD = "INSTORE_PARENT_FD"
"""Descriptor of a pipe whose end means that whoever started this process is gone."""
INSTORE_ORDERS_FD = "INSTORE_ORDERS_FD"
"""Descriptor of a socket on which a worker is told whose connections it takes besides its own."""

FAIL, DROP, KEEP = "fail", "drop", "keep"
"""What becomes of a shard's member that fails: the shard fails, or is made without it, or with it as it was."""

NO_TARGET = "http://127.0.0.1:9/v1/etl/_object/local/none"
"""The target URL of a server that has no target: nothing is pulled from there, and nothing delivered."""

SERVER, MUTUAL = "server", "mutual"
"""Who shows a certificate."""

_SHORTEST_SECRET = 6
_HOST = re.compile(r"\.?(?:[a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*")  # no address, as of a typing error: 10.0.0


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
        transform_timeout: seconds after which a transform that nobody waits for is taken for one that never ends.
        max_conn: outbound connections at once.
        keepalive_expiry: seconds after which an idle outbound connection is closed.
        skip_verify: don't verify the target's certificate.
        client_ca: path of a CA bundle; empty: the system's.
        crt, crt_key: paths of a client certificate and its key, for mutual TLS; empty: none.
        authn_token: bearer token for every outbound request; empty: none.
        download_local: let `/download` reach addresses of this machine and link-local ones.
        max_message: bytes of a WebSocket message at most; a larger one closes the connection with 1009.
        spool: bytes of a streamed result that are held until it is whole, where it goes back to whoever asked; 0: none.
        file_roots: folders below which any file may be named by a request, besides the store's own layout.
        next_hops: addresses, networks, names and domains (`.example`) of the only hosts besides the target's that
            results may be put to; none: those of private networks.
        queue: objects that wait for their turn to be transformed, at most, of WebSockets half as many; one more request
            is answered 503.
        object_time: seconds that an object may take from its request to its result; infinite: any.
        tls: "server": this server speaks TLS, with `crt` and `crt_key`; "mutual": and wants its clients' certificates
            to be signed by one of `client_ca`; empty: neither.
        members: pattern for the members of shards that are transformed; empty: objects are no shards.
        members_on_error: what becomes of a member that fails: `FAIL`, `DROP` or `KEEP`.
        members_log: file that a line for each shard is appended to, with what became of its members; empty: none.
        traces: send a span of OpenTelemetry for each object.
        frames: an object's error says where in the user's code it comes from, and what is printed names its object.
    """

    target_url: str = field(repr=False)
    direct_put: bool = False
    direct_fqn: bool = False
    direct_put_retries: int = 3
    direct_put_chunk_size: int = 1 << 20
    timeout: float = 300.0
    transform_timeout: float = float("inf")
    max_conn: int = 256
    keepalive_expiry: float = 30.0
    skip_verify: bool = False
    client_ca: str = ""
    crt: str = ""
    crt_key: str = ""
    authn_token: str = field(default="", repr=False)
    download_local: bool = False
    max_message: int = 1 << 30
    spool: int = 256 << 20
    file_roots: tuple[str, ...] = ()
    next_hops: tuple[str, ...] = ()
    frames: bool = False
    queue: int = 4096
    object_time: float = float("inf")
    tls: str = ""
    members: str = ""
    members_on_error: str = FAIL
    members_log: str = ""
    traces: bool = False

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Read the settings from `variables`, usually `os.environ`. An empty variable counts as unset."""
        values = {
            name: parse(variable, variables[variable])
            for variable, (name, parse) in _VARIABLES.items()
            if variables.get(variable, "").strip()
        }
        if "target_url" not in values:
            raise MissingTargetError(
                f"no target URL: set {AIS_TARGET_URL} (or give --target-url) to the base URL of the local target, "
                "http://HOST:PORT/v1/etl/_object/<etl-name>/<secret>; without a cluster, instore try runs a "
                "transform on a file, and instore node is a store for it"
            )
        settings = cls(**values)
        settings.check_tls()
        return settings

    def check_tls(self) -> None:
        """Refuse TLS without what it needs."""
        if self.tls and not self.crt:
            raise ConfigurationError(f"{INSTORE_TLS}={self.tls} needs a certificate: set {AIS_CRT} and {AIS_CRT_KEY}")
        if self.tls == MUTUAL and not self.client_ca:
            raise ConfigurationError(f"{INSTORE_TLS}={MUTUAL} needs to know who signs the clients: set {AIS_CLIENT_CA}")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no answer and no log may hold: the target URL's path, which ends in the secret, and the token.

        The longest first. A very short text is left out: to blot it out everywhere would spoil the message.
        """
        path = urlsplit(self.target_url).path
        plain = (path, path.rpartition("/")[2], self.authn_token)
        secrets = {secret for text in plain for secret in (text, unescape(text)) if len(secret) >= _SHORTEST_SECRET}
        return tuple(sorted(secrets, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """`text` without the secrets, percent-escaped ones included."""
        plain = unescape(text).lower()
        if not any(secret.lower() in plain for secret in self.secrets):
            return text  # the pattern is slow, and a next hop's error may be long
        pattern = "|".join("".join(map(_escaped_or_not, secret)) for secret in self.secrets)
        return re.sub(pattern, "[secret]", text, flags=re.IGNORECASE) if pattern else text


def check_variable(variable: str, value: str) -> None:
    """Refuse a value that a variable can't have.

    Raises:
        ConfigurationError: it is none for it.
    """
    _VARIABLES[variable][1](variable, value)


def _escaped_or_not(character: str) -> str:
    escape = "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogateescape"))
    return f"(?:{re.escape(character)}|{escape})"


def _flag(variable: str, value: str) -> bool:
    flag = parse_flag(value)
    if flag is None:
        raise ConfigurationError(f"{variable}={value!r} is neither true nor false")
    return flag


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


def _one_of(*words: str) -> Callable[[str, str], str]:
    def parse(variable: str, value: str) -> str:
        if value.strip() not in words:
            raise ConfigurationError(f"{variable}={value!r} is neither {' nor '.join(map(repr, words))}")
        return value.strip()

    return parse


def _text(_variable: str, value: str) -> str:
    return value.strip()


def _url(variable: str, value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise ConfigurationError(
            f"{variable} is not a URL; expected http://HOST:PORT/v1/etl/_object/<etl-name>/<secret>"
        )
    return value.strip().rstrip("/")


def _folders(variable: str, value: str) -> tuple[str, ...]:
    folders = tuple(normpath(folder) for folder in value.split(":") if folder)
    for folder in folders:
        if not folder.startswith("/"):
            raise ConfigurationError(f"{variable} has the entry {folder!r}, which is not an absolute path")
    return folders


def _hosts(variable: str, value: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in value.split(",") if host.strip())
    for host in hosts:
        try:
            ip_network(host)
        except ValueError as error:
            if not _HOST.fullmatch(host):
                raise ConfigurationError(
                    f"{variable} has the entry {host!r}, which is not an address, a network such as 10.0.0.0/8, "
                    "a host's name, or a domain such as .svc.cluster.local"
                ) from error
    return hosts


_VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    # a later one overrides an earlier one of the same setting
    AIS_TARGET_URL: ("target_url", _url),
    DIRECT_PUT: ("direct_put", _flag),
    ETL_DIRECT_FQN: ("direct_fqn", _flag),
    AIS_DIRECT_PUT_RETRIES: ("direct_put_retries", _number(int, 0)),
    AIS_DIRECT_PUT_CHUNK_SIZE: ("direct_put_chunk_size", _number(int, 1)),
    INSTORE_TIMEOUT: ("timeout", _number(float, 0.001)),
    INSTORE_TRANSFORM_TIMEOUT: ("transform_timeout", _number(float, 0.001)),
    MAX_CONN: ("max_conn", _number(int, 1)),
    KEEPALIVE_EXPIRY: ("keepalive_expiry", _number(float, 0)),
    AIS_SKIP_VERIFY: ("skip_verify", _flag),
    AIS_SKIP_VERIFY_CRT: ("skip_verify", _flag),
    AIS_CLIENT_CA: ("client_ca", _text),
    AIS_CRT: ("crt", _text),
    AIS_CRT_KEY: ("crt_key", _text),
    AIS_AUTHN_TOKEN: ("authn_token", _text),
    INSTORE_DOWNLOAD_LOCAL: ("download_local", _flag),
    INSTORE_MAX_MESSAGE: ("max_message", _number(int, 1)),
    INSTORE_SPOOL: ("spool", _number(int, 0)),
    INSTORE_FILE_ROOTS: ("file_roots", _folders),
    INSTORE_NEXT_HOPS: ("next_hops", _hosts),
    INSTORE_FRAMES: ("frames", _flag),
    INSTORE_QUEUE: ("queue", _number(int, 1)),
    INSTORE_OBJECT_TIME: ("object_time", _number(float, 0.001)),
    INSTORE_TLS: ("tls", _one_of(SERVER, MUTUAL)),
    INSTORE_MEMBERS: ("members", _text),
    INSTORE_MEMBERS_ON_ERROR: ("members_on_error", _one_of(FAIL, DROP, KEEP)),
    INSTORE_MEMBERS_LOG: ("members_log", _text),
    INSTORE_TRACES: ("traces", _flag),
}
