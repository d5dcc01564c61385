"""`instore spec TRANSFORM`: what a cluster needs for it; `instore spec --check FILE`: what is wrong with it."""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from instore.cli.completion import PLACE
from instore.errors import ConfigurationError
from instore.offline.plan import scheme_of
from instore.protocol.environment import AIS_ENDPOINT
from instore.protocol.etl_spec_fields import COMMUNICATIONS, faults
from instore.runtime.load import load_class
from instore.shipping.image.dockerfile import Container, write_files
from instore.shipping.image.imports import find_imports, packages_of
from instore.shipping.image.job_file import Volume, job_manifest
from instore.shipping.image.spec_file import check_file, to_yaml
from instore.shipping.image.wheel import build_wheel
from instore.shipping.packages.system import check_names
from instore.system import exit_codes

_SPEC = "etl_spec.yaml"
_AIS = "ais"
_EXTRAS = {_AIS: "ais"}  # of a scheme, what else is to be installed; of another, "cloud"
_JOB = "job.yaml"
_DOCKERFILE = "Dockerfile"
# Modules that are there where instore is; some by AIStore's names.
_SERVED = ("instore.", "aistore.sdk.etl.webserver.", "aistore.sdk.errors.", "aistore.sdk.const.")


@click.command(short_help="Write what a cluster needs, or check it.")
@click.argument("transform", required=False, type=PLACE)
@click.option("--check", metavar="FILE", help="Say what is wrong with an etl_spec.yaml; exit code 1 if anything is.")
@click.option("--output", default=".", metavar="DIR", help="Write here.  [default: .]")
@click.option("--force", is_flag=True, help="Overwrite files.")
@click.option("--name", help="The ETL's name.  [default: from the class's]")
@click.option("--image", help="The image's name.  [default: NAME:latest]")
@click.option("--workers", default=1, type=click.IntRange(1), metavar="N", help="Processes.  [default: 1]")
@click.option("--communication", default="hpush", type=click.Choice(COMMUNICATIONS), help="[default: hpush]")
@click.option("--direct-put/--no-direct-put", default=True, help="Results go straight to their place.  [default: on]")
@click.option("--cpu", metavar="REQUEST[:LIMIT]", help="CPUs: 500m, 1:2.")
@click.option("--memory", metavar="REQUEST[:LIMIT]", help="Memory: 512Mi, 1Gi:4Gi.")
@click.option("--package", "packages", multiple=True, metavar="REQ", help="pip installs it; may be repeated.")
@click.option("--os-package", "os_packages", multiple=True, metavar="NAME", help="apt-get installs it; likewise.")
@click.option("--env", "variables", multiple=True, metavar="K=V", help="Environment variable; may be repeated.")
@click.option("--init-timeout", default="5m", metavar="T", help="For the start.  [default: 5m]")
@click.option("--obj-timeout", default="45s", metavar="T", help="For one object.  [default: 45s]")
@click.option("--job", "parts", type=click.IntRange(1), metavar="N", help="A Kubernetes Job of N parts, too.")
@click.option("--source", metavar="SRC", help="A bucket, or a folder in a --volume.")
@click.option("--destination", metavar="DST", help="Likewise.")
@click.option("--volume", "volumes", multiple=True, metavar="CLAIM:PATH", help="A volume's claim, and where it is.")
@click.option("--wheel", type=click.Path(exists=True, dir_okay=False), help="instore's.  [default: made of this one]")
def spec(transform: str | None, check: str | None, output: str, force: bool, **options: Any) -> None:
    """Write a Dockerfile and an etl_spec.yaml for TRANSFORM, or --check one. TRANSFORM is as for instore serve."""
    if (transform is None) == (check is None):
        raise ConfigurationError("give either a TRANSFORM to write for, or --check FILE")
    if check is not None:
        sys.exit(_check(check))
    assert transform is not None  # noqa: S101  # one of them is there
    _write(transform, Path(output).absolute(), force, options)


def defaults(*arguments: str) -> dict[str, Any]:
    """The options of `instore spec` with these arguments."""
    return dict(spec.make_context("spec", list(arguments)).params)


def _check(path: str) -> int:
    found = check_file(path)
    for line in found:
        click.echo(line)
    click.echo(f"{path}: {len(found)} fault{'s' if len(found) > 1 else ''}" if found else f"{path}: nothing is wrong")
    return exit_codes.FAILED if found else 0


def _write(transform: str, folder: Path, force: bool, options: dict[str, Any]) -> None:
    check_names(options["os_packages"], "--os-package")
    files, image = spec_files(transform, load_class(transform).__name__, folder, options)
    written = write_files(files, force)
    paths = [shlex.quote(os.path.relpath(path)) for path in written]
    click.echo(f"wrote {', '.join(paths)}" if written else "all is there already", err=True)
    here = shlex.quote(os.path.relpath(folder))
    click.echo(f"next: docker build -t {image} {here} && docker push {image}", err=True)
    click.echo(f"then: ais etl init -f {shlex.quote(os.path.relpath(folder / _SPEC))}", err=True)
    if folder / _JOB in files:
        click.echo(f"or:   kubectl apply -f {shlex.quote(os.path.relpath(folder / _JOB))}", err=True)


def spec_files(transform: str, cls_name: str, folder: Path, options: dict[str, Any]) -> tuple[dict[Path, bytes], str]:
    """The files that a cluster needs, and the image's name."""
    imports = find_imports(transform)
    packages = _packages(list(options["packages"]), transform, imports.outside)
    place = transform.partition(":")[0]
    name = f"{Path(place).name if place.endswith('.py') else place}:{cls_name}"
    command = ["instore", "serve", name, "--workers", str(options["workers"])]
    message = _message(cls_name, command, options)
    job = _job(message, name, options)
    extras = [] if job is None else sorted({_EXTRAS.get(scheme, "cloud") for scheme in _schemes(options)})
    with tempfile.TemporaryDirectory(prefix="instore-") as temporary:
        wheel = Path(options["wheel"]) if options["wheel"] else build_wheel(Path(temporary))
        container = Container(imports, wheel.name, extras, packages, options["os_packages"], command)
        files = {
            folder / _DOCKERFILE: container.dockerfile(folder).encode(),
            folder / _SPEC: to_yaml(message).encode(),
            **({} if job is None else {folder / _JOB: to_yaml(job).encode()}),
            folder / wheel.name: wheel.read_bytes(),
            **container.copies(folder),
        }
    return files, message["runtime"]["image"]


def _job(message: dict[str, Any], transform: str, options: dict[str, Any]) -> dict[str, Any] | None:
    """The contents of the Job's file, checked; None if there is to be none."""
    places = [options["source"], options["destination"]]
    volumes = [Volume.parse(text) for text in options["volumes"]]
    if options["parts"] is None:
        if any([*places, *volumes]):
            raise ConfigurationError("--source, --destination and --volume are those of a Job; add --job N")
        return None
    if not all(places):
        raise ConfigurationError(
            "--job needs --source and --destination: buckets, ais://BUCKET, or folders of a --volume"
        )
    for place in places:
        if not scheme_of(place) and not any(volume.has(place) for volume in volumes):
            raise ConfigurationError(
                f"{place} is neither a bucket nor in a --volume CLAIM:PATH, so no pod would find it"
            )
    if _AIS in _schemes(options) and not any(text.startswith(f"{AIS_ENDPOINT}=") for text in options["variables"]):
        raise ConfigurationError(f"a Job with buckets needs to know the store: --env {AIS_ENDPOINT}=http://HOST:PORT")
    return job_manifest(message, transform, places, options["workers"], options["parts"], volumes)


def _schemes(options: dict[str, Any]) -> set[str]:
    """Those of the buckets among a Job's places."""
    return {scheme for place in (options["source"], options["destination"]) if (scheme := scheme_of(place))}


def _packages(requested: list[str], transform: str, modules: list[str]) -> list[str]:
    """What pip is to install: what was requested, and what the transform imports besides."""
    try:
        names = {canonicalize_name(Requirement(text).name) for text in requested}
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise ConfigurationError(f"--package takes a requirement such as pillow or numpy>=2,<3: {why}") from error
    found = packages_of([module for module in modules if not f"{module}.".startswith(_SERVED)])
    for requirement, module in found.items():
        if canonicalize_name(requirement.partition("==")[0]) not in names:
            click.echo(f"added {requirement}: {transform} imports {module}", err=True)
            requested.append(requirement)
    return requested


def _message(cls_name: str, command: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """The contents of the spec file, checked."""
    name = options["name"] or _name_from(cls_name)
    variables = [_variable(text) for text in options["variables"]]
    resources = _resources(options)
    message = {
        "name": name,
        "communication": f"{options['communication']}://",
        "init_timeout": options["init_timeout"],
        "obj_timeout": options["obj_timeout"],
        "support_direct_put": options["direct_put"],
        "runtime": {
            "image": options["image"] or f"{name}:latest",
            "command": command,
            **({"env": variables} if variables else {}),
        },
        **({"resources": resources} if resources else {}),
    }
    if found := faults(message):
        raise ConfigurationError("; ".join(str(fault) for fault in found))
    return message


def _name_from(cls_name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", "-", cls_name).lower().strip("-")
    return (words if len(words) > 5 else f"etl-{words}")[:32].strip("-")


def _variable(text: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"--env {text!r} has no value; it takes NAME=VALUE")
    return {"name": name, "value": value}


def _resources(options: dict[str, Any]) -> dict[str, dict[str, str]]:
    resources: dict[str, dict[str, str]] = {}
    for resource in ("cpu", "memory"):
        if options[resource]:
            request, _, limit = options[resource].partition(":")
            resources.setdefault("requests", {})[resource] = request
            if limit:
                resources.setdefault("limits", {})[resource] = limit
    return resources
