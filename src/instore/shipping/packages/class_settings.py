"""What a container is told about the class that it is to serve (docs/protocol.md#shipping-a-class)."""

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement

from instore.errors import ConfigurationError
from instore.protocol.environment import ETL_CLASS_PAYLOAD, NUM_WORKERS, OS_PACKAGES, PACKAGES

_WORKERS = 4  # what AIStore's own runtime starts
_CONTINUES = ("<", ">", "=", "!", "~")


@dataclass(frozen=True, slots=True)
class Shipment:
    """A class, and what it needs to run.

    Attributes:
        payload: the class, as `serialize_class` writes it.
        packages: what pip installs.
        os_packages: what the system's package manager installs.
        workers: processes.
    """

    payload: str
    packages: tuple[Requirement, ...] = ()
    os_packages: tuple[str, ...] = ()
    workers: int = _WORKERS

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Shipment":
        """Read a shipment from `variables`, usually `os.environ`. An empty variable counts as unset."""
        payload = variables.get(ETL_CLASS_PAYLOAD, "").strip()
        if not payload:
            raise ConfigurationError(
                f"no class to serve: set {ETL_CLASS_PAYLOAD} to what serialize_class gives, as Etl.init_class does; "
                "for a class in a file there is instore serve"
            )
        return cls(
            payload,
            tuple(_requirement(text) for text in split_requirements(variables.get(PACKAGES, ""))),
            tuple(dict.fromkeys(variables.get(OS_PACKAGES, "").replace(",", " ").split())),
            _workers(variables.get(NUM_WORKERS, "").strip()),
        )


def split_requirements(text: str) -> list[str]:
    """Split a list of requirements at its commas, and not at those within one.

    A comma within brackets, parentheses or quotes belongs to its requirement, and so does one before a comparison:
    `pkg[a,b]>=1,<2,other` are two.
    """
    found: list[str] = []
    for piece in text.split(","):
        if found and (_is_open(found[-1]) or piece.strip().startswith(_CONTINUES)):
            found[-1] += "," + piece
        else:
            found.append(piece)
    return [requirement.strip() for requirement in found if requirement.strip()]


def _is_open(text: str) -> bool:
    return any(text.count(begin) > text.count(end) for begin, end in ("[]", "()")) or any(
        text.count(quote) % 2 for quote in "\"'"
    )


def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise ConfigurationError(
            f"{PACKAGES} has the entry {text!r}, which is not a valid requirement such as pillow or numpy>=2,<3: {why}"
        ) from error


def _workers(text: str) -> int:
    if not text:
        return _WORKERS
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigurationError(f"{NUM_WORKERS}={text!r} is not a valid number of processes: write 1 or more")
    return int(text)
