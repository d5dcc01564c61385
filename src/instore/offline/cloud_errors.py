"""What obstore's errors mean: its text has pages of internals, of which a person needs one sentence."""

import re

_ANSWERED = re.compile(r"status code: (\d{3})[^:\n]*(?::[ \n]?(.*?))?(?:\n\nDebug source:|\Z)", re.DOTALL)
_SERVER = re.compile(r"\bError performing [A-Z]+ (\w+://[^/\s]+)")
_TAG = r"<{0}>(.*?)</{0}>"
_CAUSES = re.compile(
    r'message: "((?:[^"\\]|\\.)*)"|(TimedOut|IncompleteMessage|UnexpectedEof|ConnectionReset)|"(dns error)"'
)
_PLAIN = {
    "TimedOut": "no answer in time",
    "IncompleteMessage": "the connection was closed in the middle of an answer",
    "UnexpectedEof": "the connection was closed in the middle of an answer",
    "ConnectionReset": "the connection was reset",
}

_MOVED = "redirect without LOCATION"

_OF_THE_STORE = (
    "NoSuchBucket",
    "ContainerNotFound",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
)
"""Codes of an error that another object's request would get, too, whatever its status."""
_STATUSES_OF_THE_STORE = (301, 307, 401, 403, 408, 429)
_HINTS = {
    "ExpiredToken": "the credentials have expired; get new ones",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the secret does not fit the key",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
}


class CloudFailure:
    """One of obstore's errors, read.

    Attributes:
        status: of the store's answer; 0 if there was none.
        code: the store's own word for it, such as `NoSuchBucket`; may be empty.
        is_away: another object would very likely fare the same.
    """

    def __init__(self, error: BaseException) -> None:
        text = str(error)
        answered = _ANSWERED.search(text)
        self._text = text
        self._said = (answered[2] or "").strip() if answered else ""
        self.status = int(answered[1]) if answered else 0
        self.code = self._tag("Code")
        self.is_away = (
            self.status == 0
            or self.status >= 500
            or self.status in _STATUSES_OF_THE_STORE
            or self.code in _OF_THE_STORE
        )

    def __str__(self) -> str:
        server = _SERVER.search(self._text)
        where = server[1] if server else "the store"
        if not self.status:
            said = "said" if _MOVED in self._text else "can't be reached or broke off"
            return f"{where} {said}: {self._cause()}" if server else self._cause()
        hint = _HINTS.get(self.code, "")
        return f"{where} answered {self.status}: {self._reason()}" + (f"; {hint}" if hint else "")

    def _reason(self) -> str:
        message = self._tag("Message")
        if self.code or message:
            return f"{self.code}: {message}".strip(": ")
        return self._said.splitlines()[0][:200] if self._said and not self._said.startswith("<") else "no reason given"

    def _tag(self, name: str) -> str:
        found = re.search(_TAG.format(name), self._said, re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def _cause(self) -> str:
        """The innermost of the causes that obstore shows, else the first line of its text."""
        if _MOVED in self._text:
            return f"the bucket is in another region; {_HINTS['PermanentRedirect']}"
        causes = [one[1] or _PLAIN.get(one[2] or "", "") or one[3] for one in _CAUSES.finditer(self._text)]
        first = self._text.partition("\n")[0].rpartition(" - ")[2]
        return causes[-1] if causes else first or type(self).__name__
