"""Buckets over REST: `/v1/buckets`, and what a message to a bucket can ask for."""

import functools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from instore.errors import InvalidRequestError, NotSupportedError
from instore.node.api.configuration import of_bucket
from instore.node.cluster import Target
from instore.node.jobs import copy as bulk
from instore.node.jobs import summary
from instore.node.jobs.registry import Job
from instore.node.listing import Page, Query
from instore.node.metadata import BucketRecord
from instore.node.request import Action, Answer, NodeRequest, as_json, empty, text
from instore.offline.selection import NOTHING, Selection
from instore.store.names import Bucket
from instore.store.stored import Entry

_ALL_ALIKE = "all buckets are alike here, with versions, and without copies, erasure coding and eviction"
_NO_REMOTE = "nothing is remote here"
_NO_ARCHIVES = "archives are objects like any other here"
_NO_INVENTORIES = "buckets have no inventories here; list them"
_REFUSED = {
    "set-bprops": _ALL_ALIKE,
    "reset-bprops": _ALL_ALIKE,
    "make-n-copies": _ALL_ALIKE,
    "ec-encode": _ALL_ALIKE,
    "evict-remote-bck": _NO_REMOTE,
    "evict-listrange": _NO_REMOTE,
    "prefetch-listrange": _NO_REMOTE,
    "archive": _NO_ARCHIVES,
    "index-shard": _NO_ARCHIVES,
    "create-inventory": _NO_INVENTORIES,
    "show-inventory": _NO_INVENTORIES,
    "destroy-inventory": _NO_INVENTORIES,
    "rechunk": "each object is one file here",
}
_HELD = 1.0  # seconds for which a question about a running summary is held back, lest a client sleep over its end
_WORTH = 1000  # names of a page from which on the next one is made ahead
_PAGE = 10_000  # names; AIStore's own limit
_MINUTE = 60_000_000_000  # nanoseconds
_MSGPACK = "application/msgpack"
_NAME_ONLY, _NAME_SIZE, _NO_RECURSION, _NO_DIRS = 1 << 4, 1 << 5, 1 << 11, 1 << 13
_ARCHIVES = 1 << 3
_OF_REMOTE = {
    1 << 9: "ais:// is not a remote bucket, so it has no objects that are not here",
    1 << 12: "ais:// is not a remote bucket, so there are no versions to compare with",
    1 << 15: "the bucket has no inventories",
}
_IS_CACHED, _IS_FOLDER = 1 << 6, 1 << 8
_DEFAULT_PROPERTIES = "name,size,checksum,atime"
_IN_ATTRIBUTES = {"checksum", "version", "custom"}


async def resource(request: NodeRequest) -> Answer:
    """Everything below `/v1/buckets`."""
    if request.method == "HEAD":
        return await _head(request)
    action, value = await request.action()
    if request.segments[1:] in ([], [""]):
        return await _on_all(request, action, value)
    bucket = request.bucket()
    if any(request.segments[2:]):
        raise InvalidRequestError(f"{'/'.join(request.segments[1:])!r} can't be a bucket's name: it has a slash")
    handler = request.node.actions.get((request.method, action))
    if handler is None:
        reason = _REFUSED.get(action, "there is no such action on one machine")
        raise NotSupportedError(f"the action {action!r} ({request.method}) on a bucket is not supported: {reason}")
    return await handler(request, bucket, value)


async def _on_all(request: NodeRequest, action: str, value: dict[str, Any]) -> Answer:
    if request.method != "GET" or action not in ("list", "", "summary-bck"):
        raise NotSupportedError(f"the action {action!r} ({request.method}) on all buckets is not supported")
    if action == "summary-bck":
        return await _summary(request, None, value)
    if request.query("provider") not in ("", "ais"):
        return as_json([])
    namespace = request.query("namespace").partition("#")[2]
    buckets = request.node.cluster.folder.buckets()
    return as_json([bucket.message for bucket in buckets if not namespace or bucket.namespace == namespace])


async def _create(request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
    if value:
        raise NotSupportedError("properties of a new bucket are not supported: all buckets are alike here")
    await request.node.cluster.disk(request.node.cluster.create_bucket, bucket, BucketRecord(time.time_ns()))
    return empty()


async def _destroy(request: NodeRequest, bucket: Bucket, _value: dict[str, Any]) -> Answer:
    await request.node.cluster.disk(request.node.cluster.destroy_bucket, bucket)
    return empty()


async def _head(request: NodeRequest) -> Answer:
    bucket = request.bucket()
    record = request.node.cluster.folder.bucket(bucket)
    headers = {"Ais-Bucket-Props": json.dumps(of_bucket(bucket, record))}
    if not request.query("bsumm_remote"):
        return empty(headers=headers)
    uuid = request.query("uuid")
    if not uuid:
        job = summary.start(request.node, bucket, "/".join(request.segments[2:]))
        return empty(202, {**headers, "Ais-Xaction-Id": job.id})
    headers["Ais-Xaction-Id"] = uuid
    job = await _settled(request, uuid)
    if job.running:
        return empty(202, headers)
    return empty(headers={**headers, "Ais-Bucket-Summ": json.dumps(summary.of(job)[0])})


# Listing


async def _list_objects(request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
    flags = _number(value, "flags")
    if flags & _ARCHIVES:
        raise NotSupportedError("listing what is in archives is not supported")
    for flag, reason in _OF_REMOTE.items():
        if flags & flag:
            raise InvalidRequestError(f"{bucket} can't be listed so: {reason}")
    properties = _properties(str(value.get("props") or ""), flags)
    size = _number(value, "pagesize")
    query = Query(bucket, str(value.get("prefix") or ""), not flags & _NO_RECURSION, str(value.get("target") or ""))
    after = str(value.get("continuation_token") or value.get("start_after") or "")
    no_folders = bool(flags & _NO_DIRS) and not request.node.cluster.strict  # AIStore lists them all the same
    asked = _PageSpec(query, min(size, _PAGE) if size > 0 else _PAGE, properties, no_folders)
    body = await _body(request, asked, after, str(value.get("uuid") or ""))
    if _MSGPACK in request.request.headers.get("accept", ""):
        return Response(await request.node.cluster.disk(msgspec.msgpack.encode, body), media_type=_MSGPACK)
    return as_json(await request.node.cluster.disk(_in_json, body))


class _PageSpec(NamedTuple):
    """What each page of a listing is to have.

    Attributes:
        query: the names.
        limit: how many.
        properties: of each object.
        no_folders: leave out what stands for a folder.
    """

    query: Query
    limit: int
    properties: frozenset[str]
    no_folders: bool


async def _body(request: NodeRequest, asked: _PageSpec, after: str, uuid: str) -> dict[str, Any]:
    """A page. The one behind it is made while the client reads this one."""
    disk, listings = request.node.cluster.disk, request.node.listings

    def page(token: str, listing: str) -> tuple[Page, dict[str, Any]]:
        found = listings.page(asked.query, token, asked.limit, listing)
        return found, _page(request, asked, found)

    found, body, is_fresh = await listings.ahead.take((uuid, asked, after)) or (*await disk(page, after, uuid), True)
    if not is_fresh:
        body = await disk(_page, request, asked, found)
    if found.token and asked.limit >= _WORTH:
        listings.ahead.make((found.uuid, asked, found.token), disk(page, found.token, found.uuid))
    for target in request.node.cluster.targets:
        request.node.cluster.statistics.count(target.id, "lst")
    return body


def _number(value: dict[str, Any], key: str) -> int:
    try:
        number = int(value.get(key) or 0)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{key}={value[key]!r} is not a number") from error
    if number < 0:
        raise InvalidRequestError(f"{key}={number} is negative")
    return number


def _properties(properties: str, flags: int) -> frozenset[str]:
    if flags & _NAME_ONLY:
        properties = "name"
    elif flags & _NAME_SIZE:
        properties = "name,size"
    return frozenset((properties or _DEFAULT_PROPERTIES).replace(" ", "").split(","))


def _page(request: NodeRequest, asked: _PageSpec, page: Page) -> dict[str, Any]:
    """A page as it is sent. It blocks."""
    names = [one for one in page.names if not (asked.no_folders and one[0].endswith("/"))]
    columns = [column for name, column in _COLUMNS.items() if name in asked.properties]
    same = {target.id: _same(target, asked.properties) for target in request.node.cluster.targets}
    entries = (
        [
            _described(entry, same[target.id], columns)
            for entry, target in request.node.listings.entries(
                asked.query, names, bool(asked.properties & _IN_ATTRIBUTES)
            )
        ]
        if asked.properties != {"name"}
        else [{"n": name, "f": _IS_FOLDER if name.endswith("/") else _IS_CACHED} for name, _ in names]
    )
    return {"UUID": page.uuid, "ContinuationToken": page.token, "Flags": 0, "Entries": entries}


def _same(target: Target, properties: frozenset[str]) -> dict[str, Any]:
    """What is listed alike of all objects of a target."""
    return {"f": _IS_CACHED, **{key: of(target) for name, (key, of) in _OF_TARGETS.items() if name in properties}}


def _described(entry: Entry | str, same: dict[str, Any], columns: list[tuple[str, Any]]) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"n": entry, "f": _IS_FOLDER}
    described: dict[str, Any] = {"n": entry.name, **same}
    for key, of in columns:
        described[key] = of(entry)
    return described


def _in_json(body: dict[str, Any]) -> dict[str, Any]:
    """A page in JSON: there AIStore writes its names out, and sizes as strings."""
    entries = [
        {_WRITTEN_OUT[key]: str(value) if key == "s" else value for key, value in entry.items()}
        for entry in body["Entries"]
    ]
    token = body["ContinuationToken"]
    return {"uuid": body["UUID"], "continuation_token": token, "entries": entries, "flags": body["Flags"]}


_WRITTEN_OUT = {
    "n": "name",
    "s": "size",
    "cs": "checksum",
    "a": "atime",
    "v": "version",
    "t": "location",
    "c": "copies",
    "m": "custom-md",
    "f": "flags",
}


@functools.lru_cache(4096)
def _minute(minutes: int) -> str:
    """A time as AIStore lists it, to the minute."""
    return f"{datetime.fromtimestamp(minutes * 60, UTC):%d %b %y %H:%M} UTC"


def _listed(entry: Entry) -> str:
    """An object's custom properties as a listing has them."""
    custom = entry.attributes.custom
    return ", ".join(f"{key}:{value}" for key, value in custom.items()) if custom else ""


_COLUMNS: dict[str, tuple[str, Callable[[Entry], Any]]] = {
    "size": ("s", attrgetter("size")),
    "checksum": ("cs", attrgetter("attributes.checksum")),
    "atime": ("a", lambda entry: _minute(entry.atime // _MINUTE)),
    "version": ("v", lambda entry: str(entry.attributes.version)),
    "custom": ("m", _listed),
}
_OF_TARGETS: dict[str, tuple[str, Callable[[Target], Any]]] = {
    "location": ("t", lambda target: target.location),
    "target_url": ("t", lambda target: target.url),
    "copies": ("c", lambda _target: 1),
}


# Summary


async def _summary(request: NodeRequest, bucket: Bucket | None, value: dict[str, Any]) -> Answer:
    uuid = str(value.get("uuid") or "")
    if not uuid:
        return text(summary.start(request.node, bucket, str(value.get("prefix") or "")).id, 202)
    job = await _settled(request, uuid)
    return text(uuid, 202) if job.running else as_json(summary.of(job))


async def _settled(request: NodeRequest, uuid: str) -> Job:
    """A job, when it has ended, or after a little while."""
    job = request.node.jobs.get(uuid)
    await request.node.jobs.settled(job, _HELD)
    return job


# Jobs over buckets


async def _copy(request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
    check_message("copy-bck", value)
    to = other_bucket(request)
    await make_if_missing(request, bucket, to)
    return text(bulk.copy(request.node, "copy-bck", bucket, to, Selection.below(value), value).id)


async def _rename(request: NodeRequest, bucket: Bucket, _value: dict[str, Any]) -> Answer:
    return text((await bulk.rename(request.node, bucket, other_bucket(request))).id)


async def _copy_objects(request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
    check_message("copy-listrange", value)
    destination = Bucket.described(value.get("tobck"))
    await make_if_missing(request, bucket, destination)
    return text(bulk.copy(request.node, "copy-listrange", bucket, destination, selection(request, value), value).id)


async def _delete_objects(request: NodeRequest, bucket: Bucket, value: dict[str, Any]) -> Answer:
    check_message("delete-listrange", value)
    return text(bulk.delete(request.node, bucket, selection(request, value), value).id)


def selection(request: NodeRequest, value: dict[str, Any]) -> Selection:
    """The objects that a message is about. With a template that it can't read AIStore does nothing, without a word."""
    try:
        return Selection.parse(value)
    except InvalidRequestError:
        if request.node.cluster.strict and "{" in str(value.get("template")):
            return NOTHING
        raise


def check_message(action: str, value: dict[str, Any]) -> None:
    """Refuse a job whose message has a field that says nothing here: it may be one that was misspelt."""
    unknown = sorted(set(value) - _JOB_FIELDS)
    if unknown:
        raise InvalidRequestError(
            f"failed to read {action}: unknown field {', '.join(unknown)}; there are {', '.join(sorted(_JOB_FIELDS))}"
        )


_JOB_FIELDS = {
    *("TxnUUID", "objnames", "template", "prefix", "non-recurs", "tobck", "prepend", "ext"),
    *("id", "pipeline", "request_timeout", "num-workers", "coer", "dry_run", "force", "latest-ver", "synchronize"),
}


def other_bucket(request: NodeRequest) -> Bucket:
    """The bucket that `bck_to` names."""
    provider, _, rest = request.query("bck_to").partition("/")
    namespace, _, name = rest.partition("/")
    return Bucket.parse(provider, namespace, name.rstrip("/"))


async def make_if_missing(request: NodeRequest, source: Bucket, destination: Bucket) -> None:
    """Make the destination of a job if it isn't there, as AIStore does; the source must be there."""
    cluster = request.node.cluster
    cluster.folder.bucket(source)
    await cluster.disk(cluster.create_if_missing, destination, BucketRecord(time.time_ns()))


ACTIONS: dict[tuple[str, str], Action] = {
    ("POST", "create-bck"): _create,
    ("DELETE", "destroy-bck"): _destroy,
    ("GET", "list"): _list_objects,
    ("GET", ""): _list_objects,
    ("GET", "summary-bck"): _summary,
    ("POST", "copy-bck"): _copy,
    ("POST", "move-bck"): _rename,
    ("POST", "copy-listrange"): _copy_objects,
    ("DELETE", "delete-listrange"): _delete_objects,
}
