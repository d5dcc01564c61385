"""What an ETL server finds in its environment (docs/protocol.md#environment)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import ConfigurationError
from instore.protocol.environment import Environment, check_variable
from instore.protocol.names import escape_path, escape_segment, unescape
from tests.protocol.wire import texts

SECRET = "s3cr3t-Key"
PATH = f"/v1/etl/_object/my-etl/{SECRET}"
URL = f"http://10.0.0.8:51081{PATH}"
TOKEN = "eyJhbGciOiJI.eyJzdWIi+/=.sig"

FLAGS = {
    "INSTORE_DOWNLOAD_LOCAL": "download_local",
    "INSTORE_FRAMES": "frames",
    "DIRECT_PUT": "direct_put",
    "ETL_DIRECT_FQN": "direct_fqn",
    "AIS_SKIP_VERIFY_CRT": "skip_verify",
    "AIS_SKIP_VERIFY": "skip_verify",
}
TEXTS = {"AIS_CLIENT_CA": "client_ca", "AIS_CRT": "crt", "AIS_CRT_KEY": "crt_key", "AIS_AUTHN_TOKEN": "authn_token"}
NUMBERS = {
    # variable: (name, default, least)
    "AIS_DIRECT_PUT_RETRIES": ("direct_put_retries", 3, "0"),
    "AIS_DIRECT_PUT_CHUNK_SIZE": ("direct_put_chunk_size", 1 << 20, "1"),
    "MAX_CONN": ("max_conn", 256, "1"),
    "KEEPALIVE_EXPIRY": ("keepalive_expiry", 30.0, "0"),
    "INSTORE_TIMEOUT": ("timeout", 300.0, "0.001"),
    "INSTORE_MAX_MESSAGE": ("max_message", 1 << 30, "1"),
    "INSTORE_QUEUE": ("queue", 4096, "1"),
    "INSTORE_OBJECT_TIME": ("object_time", float("inf"), "0.001"),
}
CHOICES = {
    "INSTORE_TLS": ("tls", ("server", "mutual")),
    "INSTORE_MEMBERS_ON_ERROR": ("members_on_error", ("fail", "drop", "keep")),
}
CERTIFICATES = {"AIS_CRT": "/crt.pem", "AIS_CLIENT_CA": "/ca.pem"}
VARIABLES = [*FLAGS, *TEXTS, *NUMBERS, "INSTORE_FILE_ROOTS"]


def read(variable: str = "UNRELATED", value: str = "") -> Environment:
    return Environment.read({"AIS_TARGET_URL": URL, variable: value})


def test_the_target_url_alone_is_enough() -> None:
    assert read() == Environment(
        target_url=URL,
        direct_put=False,
        direct_fqn=False,
        direct_put_retries=3,
        direct_put_chunk_size=1 << 20,
        timeout=300.0,
        max_conn=256,
        keepalive_expiry=30.0,
        skip_verify=False,
        client_ca="",
        crt="",
        crt_key="",
        authn_token="",
        file_roots=(),
    )


@pytest.mark.parametrize("variables", [{}, {"AIS_TARGET_URL": ""}, {"AIS_TARGET_URL": " \n"}])
def test_without_a_target_url_the_message_says_what_to_do(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"set AIS_TARGET_URL .*http://HOST:PORT/v1/etl/_object/"):
        Environment.read(variables)


@pytest.mark.parametrize("value", [URL, f"{URL}/", f" {URL}//\n"])
def test_the_target_url_is_stripped_of_blanks_and_slashes_at_its_end(value: str) -> None:
    assert Environment.read({"AIS_TARGET_URL": value}).target_url == URL


@pytest.mark.parametrize("url", ["http://h", "https://h:1/x", "http://[::1]:8080/x"])
def test_any_url_of_with_a_host_is_a_target_url(url: str) -> None:
    assert Environment.read({"AIS_TARGET_URL": url}).target_url == url


@pytest.mark.parametrize("start", ["", "/", "h:1", "ftp://h", "http://", "http://:1", "http://[::1", "http://h:p"])
def test_a_bad_target_url_is_refused_and_its_secret_not_told(start: str) -> None:
    with pytest.raises(ConfigurationError, match="AIS_TARGET_URL is not a URL") as error:
        Environment.read({"AIS_TARGET_URL": f"{start}/v1/{SECRET}"})
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_counts_as_unset(variable: str, value: str) -> None:
    assert read(variable, value) == read()


@pytest.mark.parametrize(("variable", "name"), FLAGS.items())
@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((value, True) for value in ["true", "1", "yes", "on", "y", "t", "True", " TRUE\n"]),
        *((value, False) for value in ["false", "0", "no", "off", "n", "f", "False", " FALSE\n"]),
    ],
)
def test_a_flag_is_true_or_false(variable: str, name: str, value: str, flag: bool) -> None:
    assert getattr(read(variable, value), name) is flag


@pytest.mark.parametrize("variable", FLAGS)
@pytest.mark.parametrize("value", ["2", "maybe", "tru e", "-"])
def test_what_is_neither_true_nor_false_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}='{value}' is neither true nor false"):
        read(variable, value)


@pytest.mark.parametrize(
    ("new", "old", "skip"), [("false", "true", False), ("true", "false", True), ("", "true", True), ("", "", False)]
)
def test_the_newer_variable_decides_whether_certificates_are_verified(new: str, old: str, skip: bool) -> None:
    variables = {"AIS_TARGET_URL": URL, "AIS_SKIP_VERIFY_CRT": new, "AIS_SKIP_VERIFY": old}
    assert Environment.read(variables).skip_verify is skip


@pytest.mark.parametrize(("variable", "name"), TEXTS.items())
def test_a_text_is_stripped(variable: str, name: str) -> None:
    assert getattr(read(variable, " /a b\n"), name) == "/a b"


@pytest.mark.parametrize(
    ("variable", "name", "word"),
    [(variable, name, word) for variable, (name, words) in CHOICES.items() for word in words],
)
def test_a_word_is_one_of_a_few(variable: str, name: str, word: str) -> None:
    assert getattr(Environment.read({"AIS_TARGET_URL": URL, variable: f" {word} ", **CERTIFICATES}), name) == word


@pytest.mark.parametrize("variable", CHOICES)
def test_another_word_is_refused_with_those(variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}='perhaps' is neither 'server' nor|neither 'fail' nor"):
        read(variable, "perhaps")


@pytest.mark.parametrize(
    ("kind", "missing"), [("server", "AIS_CRT"), ("mutual", "AIS_CRT"), ("mutual", "AIS_CLIENT_CA")]
)
def test_tls_needs_its_certificates(kind: str, missing: str) -> None:
    variables = {"AIS_TARGET_URL": URL, "INSTORE_TLS": kind, **CERTIFICATES, missing: ""}
    with pytest.raises(ConfigurationError, match=f"INSTORE_TLS={kind} needs .*{missing}"):
        Environment.read(variables)


@pytest.mark.parametrize(("variable", "name", "default", "least"), [(key, *row) for key, row in NUMBERS.items()])
def test_a_number_is_read_from_its_least_value_on(variable: str, name: str, default: float, least: str) -> None:
    assert getattr(read(), name) == default
    for value in (least, " 7 "):
        number = getattr(read(variable, value), name)
        assert number == float(value)
        assert type(number) is type(default)


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("value", ["x", "1,5", "0x10", "3s", "9" * 5000 + "x"])
def test_what_is_not_a_number_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}='{value}' is not a number"):
        read(variable, value)


@pytest.mark.parametrize("variable", ["KEEPALIVE_EXPIRY", "INSTORE_TIMEOUT"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_a_time_without_end_is_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}='{value}' is out of range"):
        read(variable, value)


@pytest.mark.parametrize(("variable", "least"), [(key, row[2]) for key, row in NUMBERS.items()])
def test_a_number_below_the_least_is_refused(variable: str, least: str) -> None:
    for value in ("-1", str(int(float(least)) - 1)):
        with pytest.raises(ConfigurationError, match=f"^{variable}='{value}' is out of range: at least {least}"):
            read(variable, value)


@pytest.mark.parametrize(
    ("value", "roots"),
    [
        ("/data", ("/data",)),
        ("/data/", ("/data",)),
        ("/data:/a b//c", ("/data", "/a b/c")),
        (":/data::/x/../y:", ("/data", "/y")),
        ("/", ("/",)),
        (":", ()),
    ],
)
def test_file_roots_are_absolute_folders(value: str, roots: tuple[str, ...]) -> None:
    assert read("INSTORE_FILE_ROOTS", value).file_roots == roots


@pytest.mark.parametrize("value", ["data", "/data:data", "~/x", ".", "/data: /x"])
def test_a_file_root_that_is_not_absolute_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^INSTORE_FILE_ROOTS .*not an absolute path"):
        read("INSTORE_FILE_ROOTS", value)


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("10.0.0.8", ("10.0.0.8",)),
        ("10.0.0.0/8, fd00::/8,", ("10.0.0.0/8", "fd00::/8")),
        ("Target.example , .svc.cluster.local", ("target.example", ".svc.cluster.local")),
        (",", ()),
    ],
)
def test_next_hops_are_addresses_networks_and_names(value: str, hosts: tuple[str, ...]) -> None:
    assert read("INSTORE_NEXT_HOPS", value).next_hops == hosts


@pytest.mark.parametrize("value", ["10.0.0.0/33", "http://a", "a b", "*.a"])
def test_a_next_hop_that_is_no_host_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^INSTORE_NEXT_HOPS has the entry"):
        read("INSTORE_NEXT_HOPS", value)


def test_the_settings_are_shown_without_secrets() -> None:
    shown = repr(read("AIS_AUTHN_TOKEN", TOKEN))
    assert "max_conn=256" in shown
    assert SECRET not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("nothing to hide", "nothing to hide"),
        (f"GET {URL}/ais%2F@%23%2Fb%2Fo: 404", "GET http://10.0.0.8:51081[secret]/ais%2F@%23%2Fb%2Fo: 404"),
        (f"{SECRET} and {TOKEN}!", "[secret] and [secret]!"),
        (f"u={escape_segment(URL)}", "u=http%3A%2F%2F10.0.0.8%3A51081[secret]"),
        (f"u={escape_segment(URL).lower()}", "u=http%3a%2f%2f10.0.0.8%3a51081[secret]"),
        (f"t={escape_segment(TOKEN)}", "t=[secret]"),
        (f"x{SECRET}y{SECRET}{SECRET}", "x[secret]y[secret][secret]"),
    ],
)
def test_secrets_are_blotted_out_in_every_form(text: str, redacted: str) -> None:
    assert read("AIS_AUTHN_TOKEN", TOKEN).redact(text) == redacted


def test_a_secret_that_is_a_word_is_blotted_out_once() -> None:
    environment = Environment.read({"AIS_TARGET_URL": "http://t:1/v1/etl/_object/my-etl/secret"})
    assert environment.redact(f"can't reach {environment.target_url}") == "can't reach http://t:1[secret]"


@pytest.mark.parametrize("path", ["", "/a", "/e", "/x/t", "/ab", "/%41%42%43"])
@pytest.mark.parametrize("token", ["", "e", "the"])
def test_ordinary_text_survives_a_short_or_missing_secret(path: str, token: str) -> None:
    text = "transform of b/the/ABC failed: can't read a/x/table.txt"
    environment = Environment.read({"AIS_TARGET_URL": f"http://t:1{path}", "AIS_AUTHN_TOKEN": token})
    assert environment.redact(text) == text


@given(
    st.text("abXY01+/=%.-é", min_size=6, max_size=12), st.text("abXY01+=%.-", min_size=6, max_size=12), st.lists(texts)
)
def test_no_secret_is_left_in_any_text(token: str, secret: str, around: list[str]) -> None:
    environment = Environment.read({"AIS_TARGET_URL": f"http://t:1/v1/etl/e/{secret}", "AIS_AUTHN_TOKEN": token})
    forms = [token, secret, *map(escape_segment, (token, secret)), *map(escape_path, (token, secret)), unescape(secret)]
    redacted = environment.redact("|".join([*around, *forms]))
    for hidden in environment.secrets:
        assert hidden not in redacted
        assert hidden not in unescape(redacted)


@given(texts)
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert read("AIS_AUTHN_TOKEN", TOKEN).redact(text) == text


def test_a_variable_can_be_checked_alone() -> None:
    check_variable("INSTORE_QUEUE", "10")
    with pytest.raises(ConfigurationError, match="INSTORE_QUEUE"):
        check_variable("INSTORE_QUEUE", "many")
