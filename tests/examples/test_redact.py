import json
import re
from email.utils import getaddresses
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from instore.errors import ArgumentsError
from instore.server.arguments import decoder_of
from tests.examples.support import airports, load, names_in, run_command


def redacted(text: str | bytes, options: str = "region=US") -> str:
    example: Any = load("redact.py")
    args = decoder_of("Redact", example.Args)(options)
    data = text.encode(args.encoding) if isinstance(text, str) else text
    result: bytes = example.transform(data, "notes/o", args)
    return result.decode(args.encoding)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("ada.l+x@example.org, <B@sub.example.co.uk>.", "[email], <[email]>."),
        ("jörg@müller.example an a@b und @home", "[email] an a@b und @home"),
        ("4111 1111 1111 1111 exp 12/27", "[card] exp 12/27"),
        ("1234 4111-1111-1111-1111 12", "1234 [card] 12"),
        ("378282246310005;5555555555554444;6011111111111117", "[card];[card];[card]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("order 41111111111111110000", "order 41111111111111110000"),
        ("DE89 3704 0044 0532 0130 00 IS MINE", "[iban] IS MINE"),
        ("BE68 5390 0754 7034 CASH, GB82WEST12345698765432.", "[iban] CASH, [iban]."),
        ("DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        ("123-45-6789, 000-45-6789, 1123-45-6789", "[ssn], 000-45-6789, 1123-45-6789"),
        ("10.0.0.1:80 [2001:db8::1]:8080, :10.0.0.2.", "[ip]:80 [[ip]]:8080, :[ip]."),
        ("300.1.1.1, v1.2.3, at 12:30:45, std::vector", "300.1.1.1, v1.2.3, at 12:30:45, std::vector"),
        ("+44 20 7031 3000 or (650) 253-0000", "[phone] or [phone]"),
        ("\ufeffno data here\r\n", "\ufeffno data here\r\n"),
    ],
)
def test_each_kind_becomes_its_name_and_the_rest_stays(text: str, becomes: str) -> None:
    assert redacted(text) == becomes


def test_phone_numbers_of_a_country_are_found_there_and_from_abroad() -> None:
    for region in ("US", "GB", "DE", "FR", "IN", "JP", "BR", "ZA"):
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if number is None:
            continue
        abroad = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        only = '"email": false, "card": false, "iban": false, "ssn": false, "ip": false'
        assert redacted(f"call {abroad} now", f"{{{only}}}") == "call [phone] now"
        at_home = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert redacted(f"call {at_home} now", f'{{{only}, "region": "{region}"}}') == "call [phone] now"


@pytest.mark.whole
def test_numbers_behind_very_many_others_are_found() -> None:
    text = "1-1 " * 70_000 + "+44 20 7031 3000"  # phonenumbers would end its search after 65,535 tries
    assert redacted(text, "").endswith("1-1 [phone]")


@pytest.mark.parametrize("kind", ["email", "phone", "card", "iban", "ssn", "ip"])
def test_each_kind_may_be_left_alone(kind: str) -> None:
    text = "a@example.org +442070313000 4111111111111111 GB82WEST12345698765432 123-45-6789 10.0.0.1"
    words = dict(zip(("email", "phone", "card", "iban", "ssn", "ip"), text.split(), strict=True))
    left = redacted(text, f"{kind}=false")
    assert words[kind] in left
    assert re.findall(r"\[(\w+)\]", left) == [other for other in words if other != kind]


@pytest.mark.parametrize("bad", ["a", "1", "1-", "1 ", ":1", "a.b-", "a@b", "4111 ", "AA11 AAAA "])
def test_no_text_takes_longer_than_its_length(bad: str) -> None:
    assert "[phone]" not in redacted(bad * (20_000 // len(bad)), "")  # ends; each is one that a slow pattern chokes on


def test_addresses_in_what_packages_say_of_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    people = set()
    for package in distributions():
        told = package.read_text("METADATA") or ""
        fields = [
            value for name in ("Author-email", "Maintainer-email") for value in package.metadata.get_all(name, [])
        ]
        people |= {address for _, address in getaddresses(fields) if re.fullmatch(r"[\w.+-]+@[\w.-]+\.\w+", address)}
        (folder / package.metadata["Name"]).write_text(told)
    run_command("redact.py", folder, tmp_path / "out", "--args", '{"phone": false}')
    assert names_in(tmp_path / "out") == names_in(folder)
    left = "".join((tmp_path / "out" / name).read_text() for name in names_in(folder))
    assert len(people) > 10
    assert [address for address in people if address in left] == []
    assert len(left) > 0.9 * sum((folder / name).stat().st_size for name in names_in(folder))


def test_a_table_without_personal_data_stays_as_it_is() -> None:
    table = airports().read_bytes()[:200_000].decode(errors="ignore")
    assert redacted(table, "phone=false") == table


def test_a_path_gives_the_same_as_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "o"
    file.write_bytes(b"to a@example.org")
    example: Any = load("redact.py")
    assert example.transform(str(file), "notes/o", example.Args()) == b"to [email]"


@pytest.mark.parametrize(
    ("data", "options", "sentence"),
    [
        (b"andr\xe9@example.org", "", "this is not utf-8 text: .*; give its encoding as an argument"),
        ("a@example.org".encode("utf-16-le"), "", "this is not utf-8 text: it has a zero character"),
    ],
)
def test_a_text_in_another_encoding_is_refused(data: bytes, options: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        redacted(data, options)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_may_be_named(encoding: str) -> None:
    assert redacted("an andré@example.org é", json.dumps({"encoding": encoding})) == "an [email] é"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("region=Germany", "region is 'Germany'; it takes a country's two letters, such as US"),
        ("encoding=klingon", "encoding is 'klingon'; it takes one that Python knows, such as latin-1"),
        ("names=true", "there is no argument 'names'; there are email, phone, card"),
    ],
)
def test_wrong_arguments_are_refused(options: str, sentence: str) -> None:
    with pytest.raises(ArgumentsError, match=sentence):
        redacted("", options)
