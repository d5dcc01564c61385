"""Objects over REST: `/v1/objects/<bucket>/<object>`.

Every port serves every object: the client is not redirected to the target that has it, since all targets are in this
    process. (A client
that is redirected to another port drops its token, and sends its body twice.) Which target has an object decides
where it lies.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

from instore.errors import InvalidRequestError, NotSupportedError, UnsatisfiableRangeError
from instore.node.bodies import PIECE, ObjectAnswer, custom_headers, open_piece, store_body, take_body
from instore.node.cluster import Target
from instore.node.jobs.promote import Promotion, promote
from instore.node.request import Answer, NodeRequest, empty, text
from instore.protocol.headers import CUSTOM_METADATA
from instore.store import multipart
from instore.store.appends import Appending, flush
from instore.store.attributes import CHECKSUM_TYPE
from instore.store.names import Bucket, parse_uname
from instore.store.store import Store
from instore.store.stored import Entry, OpenObject

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_ARCHIVE_QUERIES = ("archpath", "archregx", "archmode")
_OF_BODY = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
_HANDLE = "Ais-Append-Handle"
_PROPERTY = re.compile(r"[^=,\x00-\x1f\x7f]*")


async def resource(request: NodeRequest) -> Answer:
    """Everything below `/v1/objects`."""
    for name in _ARCHIVE_QUERIES:
        if request.query(name):
            raise NotSupportedError(f"reading and writing what is in archives ({name}) is not supported")
    if request.request.headers.get("ais-blob-download"):
        raise NotSupportedError("blob downloads are not supported: there is no remote store to download from")
    if len(request.segments) < 3 or request.segments[2:] == [""]:
        return await _on_bucket(request)
    bucket, name = request.object()
    handler = _METHODS.get(request.method)
    if handler is None:
        raise NotSupportedError(f"the method {request.method} on an object is not supported")
    return await handler(request, bucket, name)


async def _on_bucket(request: NodeRequest) -> Answer:
    message = await request.json()
    action, value = message.get("action"), message.get("value") or {}
    if (request.method, action) != ("POST", "promote"):
        raise NotSupportedError(
            f"the action {action!r} ({request.method}) on a bucket's objects is not supported: there is no such action "
            "on one machine"
        )
    if not isinstance(value, dict):
        raise InvalidRequestError(f"the value is {value!r}, not an object")
    job = await promote(request.node, request.bucket(), Promotion.parse(str(message.get("name") or ""), value))
    return text(job.id) if job else empty()


async def _head(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    cluster.folder.bucket(bucket)
    target = cluster.owner(bucket, name)
    entry = await cluster.disk(target.store.head, bucket, name)
    cluster.statistics.count(target.id, "head")
    headers = _described(entry, target, bucket, request.query("props"))
    return _Headers({**headers, "Content-Length": str(entry.size)})


class _Headers:
    """An answer to HEAD; an ASGI application. Its length is that of the object."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        headers = [(key.lower().encode("latin-1"), value.encode()) for key, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _get(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    cluster.folder.bucket(bucket)
    if request.query("etl_name"):
        if request.node.transforms is None:
            raise NotSupportedError("this node has no ETL subsystem")
        return await request.node.transforms.read(request, bucket, name)
    target = cluster.owner(bucket, name)
    opened, first = await cluster.disk(open_piece, target.store, bucket, name)
    cluster.statistics.count(target.id, "get", opened.entry.size)
    try:
        return await _object_answer(request, bucket, target, opened, first)
    except BaseException:
        opened.close()
        raise


async def _object_answer(
    request: NodeRequest, bucket: Bucket, target: Target, opened: OpenObject, first: bytes
) -> Answer:
    entry = opened.entry
    headers = {**_described(entry, target, bucket), **_OF_BODY, **_PROPERTIES["last-modified"](entry, target)}
    wanted = request.request.headers.get("range")
    if not wanted:
        return ObjectAnswer(request.node.cluster, opened, first, 0, entry.size, 200, headers)
    start, end = parse_range(wanted, entry.size)
    if start >= len(first) and start < end:
        first = await request.node.cluster.disk(opened.read, start, min(PIECE, end - start))
    else:
        first = first[start:end]
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    return ObjectAnswer(request.node.cluster, opened, first, start, end, 206, headers)


def parse_range(wanted: str, size: int) -> tuple[int, int]:
    """The first byte that a `Range` header wants, and the one behind the last."""
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or match[0] == "bytes=-":
        raise InvalidRequestError(f"the range {wanted!r} is malformed; expected one range, as in bytes=0-99")
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        raise UnsatisfiableRangeError(size, f"the range {wanted!r} has no bytes of an object of {size}")
    return start, end


async def _put(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    for query, handler in _SPECIAL_PUTS.items():
        if query in request.request.query_params:
            return await handler(request, bucket, name)
    cluster = request.node.cluster
    cluster.folder.bucket(bucket)
    target = cluster.owner(bucket, name)
    pairs = (pair.partition("=") for pair in request.request.headers.getlist(CUSTOM_METADATA))
    custom = {key: value for key, _, value in pairs}
    _check_custom(custom)
    entry = await store_body(cluster, target.store, bucket, name, request.incoming, custom)
    cluster.statistics.count(target.id, "put", entry.size)
    return empty(headers=_stored(entry))


async def _copy(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    to_bucket, to_name = parse_uname(request.query("object_to"))
    cluster = request.node.cluster
    store, to = cluster.store(bucket, name), cluster.store(to_bucket, to_name)
    if request.query("etl_name"):
        if request.node.transforms is None:
            raise NotSupportedError("this node has no ETL subsystem")
        return await request.node.transforms.copy(request, bucket, name, to_bucket, to_name)
    return empty(headers=_stored(await cluster.disk(store.copy, bucket, name, to, to_bucket, to_name)))


async def _append(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    store = cluster.store(bucket, name)
    kind, handle = _append_kind(request), request.query("append_handle")
    handle = await take_body(cluster, lambda: Appending(store, bucket, name, handle), request.incoming)
    if kind == "append":
        return empty(headers={_HANDLE: handle})
    return empty(headers=_stored(await cluster.disk(flush, store, bucket, name, handle)))


async def _put_part(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    store = cluster.store(bucket, name)
    upload, number = request.query("uploadId"), _part_number(request.query("partNumber"))
    if "append_type" in request.request.query_params:
        return await _append_to_part(request, store, bucket, name, upload, number)
    checksum = await take_body(cluster, lambda: multipart.part(store, bucket, name, upload, number), request.incoming)
    return empty(headers={"ETag": f'"{checksum}"'})


async def _append_to_part(
    request: NodeRequest, store: Store, bucket: Bucket, name: str, upload: str, number: int
) -> Answer:
    """What comes is a piece of the part; a flush brings none, since each piece is there at once."""
    handle = request.query("append_handle")
    if _append_kind(request) == "flush":
        return empty()
    part, following = await request.node.cluster.disk(multipart.append, store, bucket, name, upload, number, handle)
    await take_body(request.node.cluster, lambda: part, request.incoming)
    return empty(headers={_HANDLE: following})


def _append_kind(request: NodeRequest) -> str:
    kind = request.query("append_type")
    if kind not in ("append", "flush"):
        raise InvalidRequestError(f"append_type={kind!r} is neither append nor flush")
    return kind


def _part_number(number: object) -> int:
    try:
        return int(str(number))
    except ValueError as error:
        raise InvalidRequestError(f"part number {number!r} is not a number") from error


async def _post(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    store = cluster.store(bucket, name)
    message = await request.json()
    action = message.get("action")
    if action == "mpt-upload":
        return text(await cluster.disk(multipart.begin, store, bucket, name))
    if action == "rename-obj":
        new = str(message.get("name") or "")
        await cluster.disk(store.rename, bucket, name, cluster.store(bucket, new), new)
        cluster.statistics.count(cluster.owner(bucket, name).id, "ren")
        return empty()
    if action == "mpt-complete":
        parts = message.get("value")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise InvalidRequestError("the value is not a list of parts")
        numbers = [_part_number(part.get("part-number")) for part in parts]
        entry = await cluster.disk(multipart.complete, store, bucket, name, request.query("uploadId"), numbers)
        return empty(headers=_stored(entry))
    raise NotSupportedError(f"the action {action!r} on an object is not supported")


async def _delete(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    cluster = request.node.cluster
    store = cluster.store(bucket, name)
    if request.query("uploadId"):
        await cluster.disk(multipart.abort, store, bucket, name, request.query("uploadId"))
        return empty()
    await cluster.disk(store.delete, bucket, name)
    cluster.statistics.count(cluster.owner(bucket, name).id, "del")
    return empty(204)


async def _patch(request: NodeRequest, bucket: Bucket, name: str) -> Answer:
    _, value = await request.action()
    _check_custom(value)
    cluster = request.node.cluster
    store = cluster.store(bucket, name)
    await cluster.disk(store.set_custom, bucket, name, value, request.flag("set-new-custom"))
    return empty()


def _check_custom(properties: Mapping[str, object]) -> None:
    """Refuse custom properties that the header which tells of them could not hold."""
    for key, content in properties.items():
        if (
            not isinstance(content, str)
            or not key
            or not _PROPERTY.fullmatch(key)
            or not _PROPERTY.fullmatch(content.replace("=", ""))
        ):
            raise InvalidRequestError(
                f"the custom property {key!r} is malformed: names have no '=' and ',', values no ',', "
                "and neither has control characters"
            )


def _described(entry: Entry, target: Target, bucket: Bucket, wanted: str = "") -> dict[str, str]:
    """An object's properties as headers: those that are wanted, or all but the last two."""
    names = wanted.replace(" ", "").split(",") if wanted else [name for name in _PROPERTIES if name not in _IF_WANTED]
    headers = {"Ais-Present": "true"}
    for name in names:
        if name not in _PROPERTIES:
            raise InvalidRequestError(f"invalid property {name!r} in props list; there are {', '.join(_PROPERTIES)}")
        headers.update(_PROPERTIES[name](entry, target))
    if not wanted:
        headers.update({"Ais-Name": _header_safe(entry.name), "Ais-Bucket-Name": bucket.name, **_PROVIDER})
    return headers


_PROVIDER = {"Ais-Bucket-Provider": "ais"}
_PROPERTIES: dict[str, Callable[[Entry, Target], dict[str, str]]] = {
    "name": lambda _entry, _target: {},  # the client has said it
    "size": lambda _entry, _target: {},  # it is the answer's length
    "cached": lambda _entry, _target: {},  # all are
    "status": lambda _entry, _target: {},
    "ec": lambda _entry, _target: {},
    "chunked": lambda _entry, _target: {},  # none is
    "checksum": lambda entry, _target: _stored(entry),
    "version": lambda entry, _target: {"Ais-Version": str(entry.attributes.version)},
    "atime": lambda entry, _target: {"Ais-Atime": str(entry.atime)},
    "custom": lambda entry, _target: custom_headers(entry.attributes.custom),
    "copies": lambda _entry, target: {"Ais-Mirror-Copies": "1", "Ais-Mirror-Paths": f"[{target.store.folder}]"},
    "location": lambda _entry, target: {"Ais-Location": target.location},
    "target_url": lambda _entry, target: {"Ais-Location": target.location},
    "etag": lambda entry, _target: {"ETag": f'"v{entry.attributes.version}-{entry.attributes.checksum}"'},
    "last-modified": lambda entry, _target: {"Last-Modified": formatdate(entry.mtime / 1e9, usegmt=True)},
}
"""An object's properties by the names that clients ask for."""

_IF_WANTED = ("etag", "last-modified")


def _stored(entry: Entry) -> dict[str, str]:
    if not entry.attributes.checksum:
        return {}
    return {"Ais-Checksum-Type": CHECKSUM_TYPE, "Ais-Checksum-Value": entry.attributes.checksum}


def _header_safe(name: str) -> str:
    """A name with what no header may hold left out."""
    return "".join(sign for sign in name if sign.isprintable())


_SPECIAL_PUTS: dict[str, Callable[[NodeRequest, Bucket, str], Awaitable[Answer]]] = {
    "object_to": _copy,
    "uploadId": _put_part,  # before an append: a part may be appended to
    "append_type": _append,
}
_METHODS: dict[str, Callable[[NodeRequest, Bucket, str], Awaitable[Answer]]] = {
    "HEAD": _head,
    "GET": _get,
    "PUT": _put,
    "POST": _post,
    "DELETE": _delete,
    "PATCH": _patch,
}
