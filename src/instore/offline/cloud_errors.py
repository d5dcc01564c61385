"""What obstore's errors mean: their texts have pages of internals, of which a person needs one sentence."""

import re

_ANSWERED = re.compile(r"status code: (\d{3})[^:\n]*(?::[ \n]?(.*?))?(?:\n\nDebug source:|\Z)", re.DOTALL)
_SERVER = re.compile(r"\bError performing [A-Z]+ (\w+://)(?:[^/\s]*@)?([^/\s]+)")
_URL = re.compile(r"(\w+://)(?:[^/\s]*@)?([^/?\s]*)\S*")  # which may have a secret before or behind its host

_SAID_BY_SYSTEM = re.compile(r'message: "((?:[^"\\]|\\.)+)"')
_OTHER_REGION = "the bucket is in another region; set AWS_REGION to its own"
_CAUSES = {
    "redirect without LOCATION": _OTHER_REGION,
    "TimedOut": "no answer in time",
    "dns error": "its name is not known",
    "IncompleteMessage": "the connection was closed in the middle of an answer",
    "UnexpectedEof": "the connection was closed in the middle of an answer",
    "IncompleteBody": "the connection was closed in the middle of an answer",
}
"""What stands somewhere in the text of an error that came without an answer."""

_NO_ANSWER = ("Error performing", "HTTP error", "valid authentication credentials")
"""What the text of an error has that came without an answer, or without credentials to ask with."""

_STATUSES_OF_STORE = (301, 307, 401, 403, 408, 429)
_CODES_OF_STORE = ("NoSuchBucket", "ContainerNotFound", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed")
"""What another object's request would get, too, as well as every status from 500."""

_HINTS = {
    "ExpiredToken": "the credentials have expired; get new ones",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the secret does not fit the key",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
}


class CloudFailure:
    """One of obstore's errors, read; its text is the sentence.

    Attributes:
        status: of the store's answer; 0 if there was none.
        code: the store's own word for it, such as `NoSuchBucket`; may be empty.
        is_away: another object would very likely fare the same.
    """

    def __init__(self, error: BaseException) -> None:
        self._text = str(error)
        answered = _ANSWERED.search(self._text)
        self._said = (answered[2] or "").strip() if answered else ""
        self.status = int(answered[1]) if answered else 0
        self.code = self._tag("Code")
        self.is_away = (
            self.status >= 500
            or self.status in _STATUSES_OF_STORE
            or self.code in _CODES_OF_STORE
            or (not self.status and any(sign in self._text for sign in _NO_ANSWER))
        )

    def __str__(self) -> str:
        server = _SERVER.search(self._text)
        if not server:
            return self._cause()
        where = "".join(server.groups())
        if not self.status:
            said = _SAID_BY_SYSTEM.findall(self._text) or [""]
            return f"{where} can't be reached or broke off: {self._cause(said[-1])}"
        hint = f"; {_HINTS[self.code]}" if self.code in _HINTS else ""
        return f"{where} answered {self.status}: {self._reason()}{hint}"

    def _cause(self, said: str = "") -> str:
        """A sentence that is known by a sign, or what the system has said, or all of obstore's own."""
        own = _URL.sub(r"\1\2", self._text.partition("\n")[0])
        return next((text for sign, text in _CAUSES.items() if sign in self._text), said or own)

    def _reason(self) -> str:
        """The store's code and message; what else its answer has, if it is no page."""
        found = ": ".join(filter(None, (self.code, self._tag("Message"))))
        page = self._said.startswith("<") or not self._said
        return found or ("no reason given" if page else " ".join(self._said.split())[:200])

    def _tag(self, name: str) -> str:
        found = re.search(f"<{name}>(.*?)</{name}>", self._said, re.DOTALL)
        return " ".join(found[1].split()) if found else ""
