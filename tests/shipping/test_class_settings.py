"""What a container is told: a payload, packages, workers."""

import pytest

from instore.errors import ConfigurationError
from instore.shipping.packages.class_settings import Shipment, split_requirements


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", []),
        (" , ,", []),
        ("pillow", ["pillow"]),
        ("pillow,numpy", ["pillow", "numpy"]),
        (" pillow , numpy ,", ["pillow", "numpy"]),
        ("numpy>=2,<3", ["numpy>=2,<3"]),
        ("numpy>=2, <3 , pillow", ["numpy>=2, <3", "pillow"]),
        ("pkg[a,b]>=1,<2,other", ["pkg[a,b]>=1,<2", "other"]),
        ("pkg[a, b],other!=3,~=4,==5.*", ["pkg[a, b]", "other!=3,~=4,==5.*"]),
        ("pkg (>=1,<2),other", ["pkg (>=1,<2)", "other"]),
        ('a; python_version in "3.11,3.12",b', ['a; python_version in "3.11,3.12"', "b"]),
        ("a; sys_platform == 'linux',b", ["a; sys_platform == 'linux'", "b"]),
        ("a @ https://example.org/a-1.0-py3-none-any.whl,b", ["a @ https://example.org/a-1.0-py3-none-any.whl", "b"]),
    ],
)
def test_a_list_is_split_between_requirements_only(text: str, requirements: list[str]) -> None:
    assert split_requirements(text) == requirements


def test_variables_make_a_shipment() -> None:
    shipment = Shipment.read(
        {"ETL_CLASS_PAYLOAD": " abc\n", "PACKAGES": "a,b>1", "OS_PACKAGES": "x, y,x", "NUM_WORKERS": " 3 "}
    )
    assert (shipment.payload, shipment.os_packages, shipment.workers) == ("abc", ("x", "y"), 3)
    assert [str(requirement) for requirement in shipment.packages] == ["a", "b>1"]


@pytest.mark.parametrize("empty", [{}, {"PACKAGES": "", "OS_PACKAGES": " ", "NUM_WORKERS": " "}])
def test_all_but_the_payload_may_be_left_out(empty: dict[str, str]) -> None:
    assert Shipment.read({"ETL_CLASS_PAYLOAD": "abc", **empty}) == Shipment("abc", (), (), 4)


@pytest.mark.parametrize("variables", [{}, {"ETL_CLASS_PAYLOAD": " "}])
def test_no_payload_is_said(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="set ETL_CLASS_PAYLOAD to what serialize_class gives"):
        Shipment.read(variables)


@pytest.mark.parametrize("workers", ["0", "-1", "four", "1.5", "²", "1 2"])
def test_a_number_of_workers_that_is_none_is_said(workers: str) -> None:
    with pytest.raises(ConfigurationError, match=r"NUM_WORKERS=.* is not a valid number of processes"):
        Shipment.read({"ETL_CLASS_PAYLOAD": "abc", "NUM_WORKERS": workers})


@pytest.mark.parametrize("package", ["--index-url=x", "a b", "./a.whl", "a==", "git+https://example.org/a"])
def test_an_entry_that_is_no_requirement_is_named(package: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Shipment.read({"ETL_CLASS_PAYLOAD": "abc", "PACKAGES": f"pillow,{package}"})
    assert f"PACKAGES has the entry {package!r}" in str(refusal.value)
