"""One line in the log for each object: at debug when it went well, at warning when it failed."""

import logging
import os
import time
import traceback

from instore.errors import TransformError
from instore.protocol.environment import Environment
from instore.protocol.requests import ObjectRequest

_OURS = os.path.dirname(__file__)

logger = logging.getLogger("instore.outcome")


class Outcomes:
    """Writes the outcome lines of one process.

    Args:
        environment: knows the secrets that no line may hold.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._shown: set[str] = set()

    def failed(self, request: ObjectRequest | str, status: int, sent: int, began: float, error: BaseException) -> None:
        """An object failed: what, with which answer, why.

        Args:
            request: the object's request, or what came in its place.
            status: the status that was answered; 0 for none.
            sent: bytes of the answer's body that were sent before.
            began: `time.perf_counter()` when the request came.
            error: the reason.
        """
        line = f"{_line(request, status, sent, began)} outcome=failed error={self._environment.redact(str(error))!r}"
        logger.warning("%s", line)
        if isinstance(error, TransformError) and error.__cause__ is not None:
            self._show_stack(error.__cause__)

    def _show_stack(self, error: BaseException) -> None:
        """The stack within the user's code: whole once for each place, since one mistake fails many objects alike."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
            trace = trace.tb_next
        stack = self._environment.redact("".join(traceback.format_exception(type(error), error, trace)))
        place = "".join(traceback.format_tb(trace)[-1:])
        logger.log(logging.DEBUG if place in self._shown else logging.INFO, "%s", stack)
        self._shown.add(place)

    def served(self, request: ObjectRequest, status: int, sent: int, began: float) -> None:
        """An object went where it belongs; arguments as for `failed`."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s outcome=served", _line(request, status, sent, began))


def _line(request: ObjectRequest | str, status: int, sent: int, began: float) -> str:
    milliseconds = (time.perf_counter() - began) * 1000
    if isinstance(request, str):
        return f"request={request!r} status={status} out={sent} ms={milliseconds:.1f}"
    return (
        f"object={request.path!r} source={request.origin.value} next={request.next_url or '-'} "
        f"status={status} out={sent} ms={milliseconds:.1f}"
    )
