"""What is said where code asks for a part of AIStore's SDK that is not installed."""

from collections.abc import Callable
from pathlib import Path

_STUBS = Path(__file__).parent / "stubs"


def sentence(name: str) -> str:
    """The line that says what is missing, where it comes from, and what to install."""
    return (
        f"{name} is a part of AIStore's official Python SDK, which is not installed; instore stands in for its web "
        "servers only. Install it beside instore: pip install aistore"
    )


def missing(package: str) -> Callable[[str], object]:
    """A module's `__getattr__` for the stub of `package`."""

    def __getattr__(name: str) -> object:  # noqa: N807
        place = _STUBS.joinpath(*package.split("."), name)
        if name.startswith("__") or place.is_dir() or place.with_suffix(".py").is_file():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")  # a module of ours is imported next
        raise ImportError(sentence(f"{package}.{name}"), name=package)

    return __getattr__
