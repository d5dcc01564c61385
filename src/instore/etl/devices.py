"""Which accelerator a worker process sees: one each, before anything of it is imported."""

import os
import re
from collections.abc import Mapping, Sequence

from instore.errors import ConfigurationError
from instore.protocol.environment import INSTORE_DEVICE

VISIBLE = "CUDA_VISIBLE_DEVICES"
AUTO = "auto"
_FOLDER = "/dev"
_NVIDIA = re.compile(r"nvidia(\d+)")


def parse_devices(text: str) -> list[str]:
    """The devices that `text` names: numbers or UUIDs with commas between, or `auto`, those of this machine.

    Raises:
        ConfigurationError: it names none, or one twice.
    """
    if text == AUTO:
        return _found()
    devices = [name.strip() for name in text.split(",")]
    if not all(re.fullmatch(r"\d+|(?:GPU|MIG)-[\w/-]+", name) for name in devices):
        raise ConfigurationError(f"--devices {text!r}: write numbers with commas between, as in 0,1, or {AUTO}")
    if len(set(devices)) < len(devices):
        raise ConfigurationError(f"--devices {text!r} names one twice; --workers-per-device has several share it")
    return devices


def _found() -> list[str]:
    """Those that this process may use, as the driver shows them."""
    allowed = os.environ.get(VISIBLE)
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1")]
    found = filter(None, map(_NVIDIA.fullmatch, os.listdir(_FOLDER)))
    return sorted((match[1] for match in found), key=int)


def variables_for(devices: Sequence[str], number: int) -> Mapping[str, str]:
    """What the worker of that number finds in its environment; nothing where there are no devices."""
    if not devices:
        return {}
    return {VISIBLE: devices[number % len(devices)], INSTORE_DEVICE: "cuda"}
