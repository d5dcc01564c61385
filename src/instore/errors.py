"""Every error that instore raises on purpose, and the HTTP status each one becomes.

The hierarchy is one level deep below `InstoreError`, two where a configuration is at fault: a name says what went
wrong, the message says what, where, why and what to do. `STATUS` is the only place where an error meets a number
(docs/protocol.md). This module imports nothing, so that every layer may use it.
"""


class InstoreError(Exception):
    """Base of all errors below. Its text is meant for a person and never holds a secret."""


class ConfigurationError(InstoreError, ValueError):
    """The server or command can't start: its environment, options or class are wrong. Exit code 2."""


class UnfitClassError(ConfigurationError, TypeError):
    """A class, or an object of it, can't transform: it has no method for it, or a setting of it is wrong."""


class PayloadError(ConfigurationError):
    """What was sent as a class is none that can be had here: the text says why (docs/protocol.md#shipping-a-class)."""


class InstallationError(ConfigurationError):
    """A package that a class needs could not be installed; the text has the package manager's own words."""


class MissingTargetError(ConfigurationError, OSError):
    """`AIS_TARGET_URL` is not set. An `OSError` too: that is what code written for AIStore's SDK catches."""


class InvalidRequestError(InstoreError, ValueError):
    """A request that can't be understood, or a body that ended before its announced length."""


class ArgumentsError(InstoreError, ValueError):
    """Arguments of a transform that its class does not take: the text says which, and what it takes."""


class SlowClientError(InstoreError):
    """A client has sent nothing for too long, while its request was waited for."""


class HTTPVersionError(InstoreError):
    """An answer that the client's version of HTTP can't frame."""


class BodyTooLargeError(InstoreError):
    """A body is larger than any may be."""


class OverloadedError(InstoreError):
    """The server has too much to do, or to hold in memory; the same request may be served later."""


class ObjectTimeError(InstoreError):
    """An object took longer than any may."""


class InvalidPipelineError(InstoreError, ValueError):
    """An entry of a pipeline is empty or not a URL (docs/protocol.md#pipelines-and-direct-put)."""


class MalformedControlError(InstoreError, ValueError):
    """A WebSocket message that is not what was expected; the connection is closed (docs/protocol.md#websocket).

    Args:
        code: the close code, 1007 or 1008.
        message: what came, and what was expected.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class ForbiddenFileError(InstoreError):
    """A path that is not an object's file and lies under no configured root (docs/protocol.md#files)."""


class ForbiddenAddressError(InstoreError):
    """An address that must not be spoken to: what a URL must not be fetched from, or what is not to be a next hop."""


class ObjectNotFoundError(InstoreError):
    """The file that a request names is not there."""


class BucketNotFoundError(InstoreError):
    """There is no such bucket. AIStore's clients tell that from a missing object by this very sentence.

    Args:
        bucket: what has its name, `ais://…`, as its text.
    """

    def __init__(self, bucket: object) -> None:
        super().__init__(f"bucket {bucket} does not exist")


class BucketExistsError(InstoreError):
    """A bucket that is to be made is there already."""


class NameConflictError(InstoreError):
    """An object's name would make another object's name a folder, or the other way round."""


class JobNotFoundError(InstoreError):
    """There is no such job."""


class NotSupportedError(InstoreError):
    """AIStore can do it, this node can't. The message says so in a sentence."""


class UnauthorizedError(InstoreError):
    """The node demands a token, and the request has none or another.

    Args:
        message: the sentence for the caller.
        challenge: how the token may be shown, as `WWW-Authenticate` says it.
    """

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        self.challenge = challenge
        super().__init__(message)


class ForbiddenOriginError(InstoreError):
    """A request that a web page of elsewhere may have caused."""


class WrongSecretError(InstoreError):
    """Someone who is not a server of this ETL wants to be let in as one."""


class UnsatisfiableRangeError(InstoreError):
    """A byte range that begins behind the object's end.

    Args:
        size: bytes of the object.
        message: the sentence for the caller.
    """

    def __init__(self, size: int, message: str) -> None:
        self.size = size
        super().__init__(message)


class StorageFullError(InstoreError):
    """The disk, the quota or the inodes are used up. Nothing of the object is kept."""


class StorageError(InstoreError):
    """The disk or its file system failed. Nothing of the object is kept."""


class TransformError(InstoreError):
    """The user's transform raised, or returned something that is not bytes."""


class Skip(InstoreError):  # noqa: N818 - it is no error of whoever raises it
    """Raised by a transform: the object is to have no result, and that is right so (docs/results.md).

    `instore transform` and the jobs of `instore node` count it as skipped, and don't try it again. A single request has
    no other word for it than an error, 422, whose text says so.

    Args:
        reason: why, in a few words, such as "too small"; it stands in the job's report. Default: none is given.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = str(reason)
        super().__init__(reason)

    def __str__(self) -> str:
        return f"{SKIPPED}: {self.reason}" if self.reason else SKIPPED


SKIPPED = "skipped"
"""How the text of a `Skip` begins."""


def skip_of(text: str) -> Skip:
    """The `Skip` with this text."""
    return Skip(text.removeprefix(SKIPPED).removeprefix(": "))


class ResultCarriedError(InstoreError):
    """A result has what a request's answer can't carry: a name, metadata, or others beside it."""


class SourceError(InstoreError):
    """The object could not be read to its end: a file that changed under the reader, a disk that failed."""


class ShardError(InstoreError, ValueError):
    """A shard is damaged, or none at all, or would have no members; or a member can't be written as it is asked for."""


class TargetError(InstoreError):
    """The target can't be reached, or its answer to a GET broke off."""


class TargetAnswerError(InstoreError):
    """The target refused a GET; its own status is passed on.

    Args:
        status: the target's.
        message: the sentence for the caller.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class DirectPutError(InstoreError):
    """The next hop could not be reached within the retries, or answered what no next hop should."""


class ETLDirectPutTransientError(InstoreError):
    """A direct put failed in a way that may pass: lost connection, time-out, broken framing.

    A transform may raise it too. With `bail_without_local_retry=True` the server answers 503 with the header
    `Ais-Etl-Retry-Reason: direct-put-transient` and the target sends the object again (docs/protocol.md#retries).

    Args:
        url: where the put went.
        cause: what happened.
        bail_without_local_retry: leave the retry to the target. Default False: answered with 502.
    """

    def __init__(self, url: str, cause: BaseException, bail_without_local_retry: bool = False) -> None:
        self.url = url
        self.cause = cause
        self.bail_without_local_retry = bail_without_local_retry
        super().__init__(f"direct put to {url} failed: {type(cause).__name__}: {cause}")


class AnswerError(InstoreError):
    """An ETL server's answer is not the object: an error's text, or a status that means something else.

    Args:
        message: why there is no object.
        status: of the answer; 0 if there was none, or none that says so.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status if status >= 400 else 0
        super().__init__(message)


class IncompleteAnswerError(InstoreError):
    """An ETL server's answer broke off, or never came: what was received of it is not the object.

    Args:
        message: what came.
        cause: what the connection ended with.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        self.cause = cause
        super().__init__(message)


class RemoteStoreError(InstoreError):
    """A store that objects are read from or written to can't be reached, refused, or broke off.

    Args:
        message: what could not be done, where, and why.
        is_away: the store serves nobody, or not us: another object would very likely fare the same.
    """

    def __init__(self, message: str, is_away: bool = False) -> None:
        self.is_away = is_away
        super().__init__(message)


class ResultExistsError(InstoreError):
    """A result that was to be stored only if there is none of its name, and there is one."""


class WorkerError(InstoreError):
    """A worker process could not be started, or is no longer there."""


class ETLNotFoundError(InstoreError):
    """There is no ETL of that name."""


class ETLExistsError(InstoreError):
    """There is an ETL of that name already."""


class ETLAbortedError(InstoreError):
    """An ETL does not run. To AIStore's clients one that was stopped is not there."""


class ETLStageError(InstoreError):
    """An ETL is not in the stage that the request needs: not running, not stopped, or it could not be started."""


class TransformFailedError(InstoreError):
    """An object could not be read through its ETL.

    Args:
        message: which, and why.
        status: of the answer that said so.
    """

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


class NobodyWaitsError(InstoreError):
    """A result that is delivered too late, or was not expected at all."""


class JobFailedError(InstoreError):
    """A job has not done what it was to do."""


class NoResultError(InstoreError):
    """The answer to a test's request has no result: its text is the object's error."""


class NothingSelectedError(InstoreError):
    """A job's prefix, patterns or names stand for no object at all."""


class ClientGoneError(InstoreError):
    """The client has closed the connection; nobody is left to answer."""


STATUS: dict[type[InstoreError], int] = {
    InvalidRequestError: 400,
    ArgumentsError: 400,
    SlowClientError: 408,
    BodyTooLargeError: 413,
    HTTPVersionError: 505,
    OverloadedError: 503,
    ObjectTimeError: 504,
    InvalidPipelineError: 400,
    MalformedControlError: 400,
    ForbiddenFileError: 403,
    ForbiddenAddressError: 403,
    ForbiddenOriginError: 403,
    WrongSecretError: 403,
    UnauthorizedError: 401,
    ObjectNotFoundError: 404,
    BucketNotFoundError: 404,
    JobNotFoundError: 404,
    BucketExistsError: 409,
    NameConflictError: 409,
    UnsatisfiableRangeError: 416,
    ClientGoneError: 499,
    TransformError: 422,
    Skip: 422,
    ResultCarriedError: 422,
    ShardError: 422,
    SourceError: 500,
    StorageError: 500,
    NotSupportedError: 501,
    StorageFullError: 507,
    TargetError: 502,
    TargetAnswerError: 502,
    DirectPutError: 502,
    ETLDirectPutTransientError: 502,
    IncompleteAnswerError: 502,
    ETLNotFoundError: 404,
    ETLExistsError: 409,
    ETLAbortedError: 404,
    ETLStageError: 400,
    RemoteStoreError: 502,
    ResultExistsError: 409,
    WorkerError: 503,
    JobFailedError: 422,
    NobodyWaitsError: 410,
    NoResultError: 422,
}


def status_of(error: BaseException) -> int:
    """The HTTP status that reports `error`: that of the answer it stands for, that of `STATUS`, else 500."""
    if isinstance(error, TargetAnswerError | AnswerError | TransformFailedError) and error.status >= 400:
        return error.status
    return STATUS.get(type(error), 500)  # type: ignore[arg-type]
