"""Errors as AIStore's clients read them: JSON with the sentence in `message`, the node, and what was asked.

A client tells a missing bucket from a missing object by the first `ais://…` in the text, so that the messages of
`target`, which name the bucket or the object so, are part of the interface.
"""

import errno
import json
import logging

from starlette.requests import Request
from starlette.responses import Response

from instore.errors import (
    BucketExistsError,
    BucketNotFoundError,
    ETLAbortedError,
    ETLExistsError,
    ETLNotFoundError,
    ETLStageError,
    InstoreError,
    JobNotFoundError,
    NameConflictError,
    ObjectNotFoundError,
    StorageFullError,
    TransformFailedError,
    UnauthorizedError,
    UnsatisfiableRangeError,
    status_of,
)

logger = logging.getLogger("instore")

_KINDS: dict[type[Exception], str] = {
    BucketNotFoundError: "ErrBckNotFound",
    BucketExistsError: "ErrBucketAlreadyExists",
    ObjectNotFoundError: "ErrNotFound",
    JobNotFoundError: "ErrNotFound",
    ETLNotFoundError: "ErrNotFound",
    ETLAbortedError: "ErrNotFound",
    ETLExistsError: "ErrETL",
    ETLStageError: "ErrETL",
    TransformFailedError: "ErrETL",
    NameConflictError: "ErrMv",
}
"""AIStore's names of errors, by which its clients in Go know them."""

_HEADER = "Hdr-Error"  # where AIStore puts it when the answer may have no body


def answer(request: Request, error: Exception, node: str, strict: bool = False) -> Response:
    """The answer that reports `error`, which is logged if it is not one of ours."""
    if strict and isinstance(error, NameConflictError):
        status, message = 400, str(error)
    elif isinstance(error, InstoreError):
        status, message = status_of(error), str(error)
    elif isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        status, message = 503, "the node has no file descriptors left; try again"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        status, message = status_of(StorageFullError()), f"the disk is full: {error.strerror}"
    else:
        logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
        status, message = 500, f"internal error: {type(error).__name__}: {error}; the node's log has more"
    kind = _KINDS.get(type(error))
    body = json.dumps(
        {
            **({"tcode": kind} if kind else {}),
            "message": message,
            "method": request.method,
            "url_path": request.scope["path"],
            "remote_addr": "{}:{}".format(*request.client) if request.client else "",
            "caller": "",
            "node": node,
            "status": status,
        }
    )
    headers = _headers(error)
    if request.method == "HEAD":
        return Response(status_code=status, headers={**headers, _HEADER: body})
    return Response(body + "\n", status, headers, "application/json")


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": error.challenge}
    if isinstance(error, UnsatisfiableRangeError):
        return {"Content-Range": f"bytes */{error.size}"}
    return {}
