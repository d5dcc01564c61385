"""A `job.yaml`: a Kubernetes Job whose pods each do a part of `instore transform`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from instore.errors import ConfigurationError
from instore.system import exit_codes

_TRIES = 3
"""Times that a part is tried again: what is done is not done twice."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the cluster, by its claim, and where pods find it.

    Attributes:
        claim: name of the PersistentVolumeClaim.
        path: absolute path.
    """

    claim: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """That of an option, `CLAIM:PATH`."""
        claim, _, path = text.partition(":")
        if not claim or not path.startswith("/"):
            raise ConfigurationError(f"--volume {text!r} is malformed; it takes CLAIM:/PATH")
        return cls(claim, path.rstrip("/") or "/")

    def has(self, place: str) -> bool:
        """Whether a folder is in it."""
        return f"{os.path.normpath(place).rstrip('/')}/".startswith(f"{self.path.rstrip('/')}/")


def job_manifest(
    message: Mapping[str, Any],
    transform: str,
    places: Sequence[str],
    workers: int,
    parts: int,
    volumes: Sequence[Volume],
) -> dict[str, Any]:
    """The contents of the file.

    Args:
        message: those of the `etl_spec.yaml`, whose name, image, variables and resources the Job has, too.
        transform: TRANSFORM, in the image.
        places: SRC and DST.
        workers: processes of each pod.
        parts: how many pods there are, all at once.
        volumes: where SRC and DST are, unless they are buckets.
    """
    name, runtime = message["name"], message["runtime"]
    how = ["--workers", str(workers), "--part", f"auto/{parts}", "--continue-on-error"]
    container = {
        "name": name,
        "image": runtime["image"],
        "command": ["instore", "transform", transform, *places, *how],
    }
    if "env" in runtime:
        container["env"] = runtime["env"]
    if "resources" in message:
        container["resources"] = message["resources"]
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if volumes:
        container["volumeMounts"] = [{"name": one.claim, "mountPath": one.path} for one in volumes]
        pod["volumes"] = [{"name": one.claim, "persistentVolumeClaim": {"claimName": one.claim}} for one in volumes]
    hopeless = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [exit_codes.CONFIGURATION]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": parts,
            "parallelism": parts,
            "backoffLimitPerIndex": _TRIES,
            "podFailurePolicy": {"rules": [hopeless]},
            "template": {"spec": pod},
        },
    }
