"""Redact texts: e-mail and IP addresses, phone numbers, payment cards, IBANs, US social security numbers.

    instore transform examples/redact.py tickets redacted --args 'region=US'
    instore transform examples/redact.py logs redacted --args '{"phone": false, "encoding": "latin-1"}'

Each becomes its kind in brackets: `[email]`. Cards and IBANs count only with a right check digit, phone numbers only if
their country has such numbers; one without its country's prefix is found where `region` says whose they are (`US`).
Arguments: `email`, `phone`, `card`, `iban`, `ssn`, `ip` (true), `region` (none), `encoding` (utf-8).

Names, postal addresses and birthdays are not found, which takes a model of language; nor is what is written in words
(`ada at example dot org`), encoded (`%40`, base64), broken over two lines, or mistyped, so that its check digit is
wrong.
What comes out is a text with less in it, not one that is anonymous.
"""

import codecs
import ipaddress
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import phonenumbers

from instore import ETLServer

LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
EMAIL = re.compile(rf"(?<!{LOCAL}){LOCAL}++@(?:[\w-]+\.)+[^\W\d_][\w-]*\w")
CARD = re.compile(r"(?<!\w)[2-6]\d{3}(?:[ -]?\d){9,15}")
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
IP_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*[0-9A-Fa-f](?![\w:])")
IP_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")


@dataclass
class Options:
    email: bool = True
    phone: bool = True
    card: bool = True
    iban: bool = True
    ssn: bool = True
    ip: bool = True
    region: str = ""
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.region and self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"region is {self.region!r}; it takes a country's two letters, such as US")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(
                f"encoding is {self.encoding!r}; it takes one that Python knows, such as latin-1"
            ) from None


Spans = Iterator[tuple[int, int]]
Find = Callable[[str, Options], Spans]


class Redact(ETLServer):
    Args = Options

    def transform(self, data: bytes | str, path: str, args: Options) -> bytes:
        text = decoded(data if isinstance(data, bytes) else Path(data).read_bytes(), args.encoding)
        for kind, find in FINDERS:
            if getattr(args, kind):
                text = without(text, find(text, args), f"[{kind}]")
        return text.encode(args.encoding)

    def get_mime_type(self) -> str:
        return "text/plain"


def decoded(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        raise ValueError(f"this is not {encoding} text: {error}; give its encoding as an argument") from None
    if "\0" in text:
        raise ValueError(f"this is not {encoding} text: it has a zero character; give its encoding as an argument")
    return text


def without(text: str, spans: Spans, mark: str) -> str:
    parts, end = [], 0
    for start, next_end in spans:
        parts += [text[end:start], mark]
        end = next_end
    return "".join([*parts, text[end:]])


def matches(pattern: re.Pattern[str], fits: Callable[[str], bool] = bool) -> Find:
    return lambda text, _args: (match.span() for match in pattern.finditer(text) if fits(match[0]))


def longest(pattern: re.Pattern[str], fits: Callable[[str], bool]) -> Find:
    """What matches and fits; words or numbers behind it, which the pattern takes too, are left off until it does."""

    def find(text: str, _args: Options) -> Spans:
        start = 0
        while match := pattern.search(text, start):
            start = match.start() + 1
            for end in range(match.end(), start, -1):
                ends_word = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
                if ends_word and fits(re.sub("[ -]", "", text[match.start() : end])):
                    yield match.start(), end
                    start = end
                    break

    return find


def phones(text: str, args: Options) -> Spans:
    found = phonenumbers.PhoneNumberMatcher(text, args.region or None, max_tries=sys.maxsize)  # else it ends early
    return ((match.start, match.end) for match in found)


def is_card(digits: str) -> bool:
    """Luhn's check digit."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)
    return len(digits) >= 13 and total % 10 == 0


def is_iban(number: str) -> bool:
    """Its check digits are in front, and are computed as if they were at its end."""
    return len(number) >= 15 and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


FINDERS: tuple[tuple[str, Find], ...] = (  # phones last: a part of any other may look like one
    ("email", matches(EMAIL)),
    ("iban", longest(IBAN, is_iban)),
    ("card", longest(CARD, is_card)),
    ("ssn", matches(SSN)),
    ("ip", matches(IP_V6, is_ip)),
    ("ip", matches(IP_V4, is_ip)),
    ("phone", phones),
)
