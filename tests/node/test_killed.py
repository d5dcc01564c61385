"""A node that is killed in the middle of every kind of writing keeps all that it has acknowledged, and nothing half."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.node.test_durability import content_of
from tests.support.node import RunningNode, running_node, wait_until

_RENAMED = 24  # objects of the bucket that is renamed


class KilledError(Exception):
    """The node is gone, and what was asked last may have been done or not."""


class Writer:
    """One client that writes in one way, and knows what may be there.

    Attributes:
        allowed: for each object, what it may hold; None: it may be missing.
        done: what was acknowledged.
    """

    def __init__(self, name: str, bucket: str) -> None:
        self.name = name
        self.bucket = bucket
        self.allowed: dict[str, set[bytes | None]] = {}
        self.done = 0
        self.dice = random.Random(name)
        self.endpoint = ""
        self._session = requests.Session()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request that has to succeed."""
        try:
            answer = self._session.request(method, f"{self.endpoint}/v1/{path}", timeout=60, **options)
        except requests.RequestException as error:
            raise KilledError from error
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        self.done += 1
        return answer

    def send(self, method: str, name: str, **options: Any) -> requests.Response:
        """A request for an object."""
        return self.ask(method, f"objects/{self.bucket}/{name}", **options)

    def run(self, step: "Step", endpoint: str) -> None:
        """Go on until the node is gone."""
        self.endpoint = endpoint
        self._session = requests.Session()
        for _ in range(100_000):
            try:
                step(self, f"{self.name}/{self.dice.randrange(20)}")
            except KilledError:
                return

    def changes(self, name: str, to: bytes | None, change: Callable[[], object]) -> None:
        """Change an object: until that is acknowledged, it may be as before or as after."""
        before = self.allowed.get(name, {None})
        self.allowed[name] = before | {to}
        change()
        self.allowed[name] = {to}

    def check(self, endpoint: str) -> None:
        """Everything is as it may be; what is there now is what has to stay."""
        for name, allowed in self.allowed.items():
            answer = requests.get(f"{endpoint}/v1/objects/{self.bucket}/{name}", timeout=60)
            assert answer.status_code in (200, 404), answer.text
            found = answer.content if answer.ok else None
            assert found in allowed, f"{name}: {len(found or b'')} bytes, none of {len(allowed)} that are allowed"
            self.allowed[name] = {found}


Step = Callable[[Writer, str], None]


def puts(writer: Writer, name: str) -> None:
    content = content_of(f"{name}.{writer.dice.random()}")
    writer.changes(name, content, lambda: writer.send("PUT", name, data=content))


def deletes(writer: Writer, name: str) -> None:
    puts(writer, name)
    writer.changes(name, None, lambda: writer.send("DELETE", name))


def appends(writer: Writer, name: str) -> None:
    (there,) = writer.allowed.get(name, {None})
    content, handle = content_of(f"{name}.{writer.dice.random()}"), ""
    for start in range(0, len(content), 100_000):
        query = {"append_type": "append", "append_handle": handle}
        answer = writer.send("PUT", name, params=query, data=content[start : start + 100_000])
        handle = answer.headers["Ais-Append-Handle"]
    whole = (there or b"") + content
    if there and len(whole) > 16_000_000:
        writer.changes(name, None, lambda: writer.send("DELETE", name))
        return
    query = {"append_type": "flush", "append_handle": handle}
    writer.changes(name, whole, lambda: writer.send("PUT", name, params=query))


def uploads(writer: Writer, name: str) -> None:
    content = content_of(f"{name}.{writer.dice.random()}")
    upload = writer.send("POST", name, params={"uploads": ""}, json={"action": "mpt-upload"}).text
    parts = [content[start : start + 200_000] for start in range(0, len(content), 200_000)]
    for number, part in enumerate(parts, 1):
        writer.send("PUT", name, params={"uploadId": upload, "partNumber": number}, data=part)
    message = {"action": "mpt-complete", "value": [{"part-number": number + 1} for number in range(len(parts))]}
    writer.changes(name, content, lambda: writer.send("POST", name, params={"uploadId": upload}, json=message))


class Renamer(Writer):
    """A client that renames its bucket to and fro. Its objects are under the one name or the other, never both."""

    def check(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._session = requests.Session()
        wait_until(lambda: len(self.buckets()) == 1)  # a renaming that was cut off goes on
        (self.bucket,) = self.buckets()
        super().check(endpoint)

    def buckets(self) -> list[str]:
        """Those of its names that are there."""
        listed = requests.get(
            f"{self.endpoint}/v1/buckets", json={"action": "list", "value": {}}, params={"provider": "ais"}, timeout=60
        )
        return [one["name"] for one in listed.json() if one["name"] in ("rename-one", "rename-two")]


def renames(writer: Writer, _name: str) -> None:
    for number in range(_RENAMED):
        if f"o{number}" not in writer.allowed:
            puts(writer, f"o{number}")
    to = "rename-two" if writer.bucket == "rename-one" else "rename-one"
    message = {"action": "move-bck"}
    job = writer.ask("POST", f"buckets/{writer.bucket}", params={"bck_to": f"ais/@#/{to}/"}, json=message).text
    query = {"what": "status"}
    wait_until(lambda: writer.ask("GET", "cluster", params=query, json={"ID": job}).json()["end_time"])
    writer.bucket = to


class Maker(Writer):
    """A client that makes and destroys buckets."""

    def check(self, endpoint: str) -> None:
        for name, allowed in self.allowed.items():
            answer = requests.get(f"{endpoint}/v1/objects/{name}/o", timeout=60)
            found = answer.content if answer.ok else None
            assert found in allowed, f"{name}: {answer.status_code} {answer.text[:200]}"
            self.allowed[name] = {found}
            if found is None:  # it may be there, and empty: a new one has to be possible
                requests.delete(f"{endpoint}/v1/buckets/{name}", json={"action": "destroy-bck"}, timeout=60)


def makes(writer: Writer, name: str) -> None:
    bucket = name.replace("/", "-")
    if writer.allowed.get(bucket, {None}) == {None}:
        content = content_of(bucket)
        writer.allowed[bucket] = {None}  # from now on it may be there, and empty
        writer.ask("POST", f"buckets/{bucket}", json={"action": "create-bck"})
        writer.changes(bucket, content, lambda: writer.ask("PUT", f"objects/{bucket}/o", data=content))
    else:
        writer.changes(bucket, None, lambda: writer.ask("DELETE", f"buckets/{bucket}", json={"action": "destroy-bck"}))


def kill_repeatedly(tmp_path: Path, turns: int) -> dict[str, int]:
    """Kill a node `turns` times while every writer writes; what was acknowledged to each."""
    writers: list[tuple[Writer, Step]] = [
        (Writer("put", "b"), puts),
        (Writer("delete", "b"), deletes),
        (Writer("append", "b"), appends),
        (Writer("upload", "b"), uploads),
        (Renamer("rename", "rename-one"), renames),
        (Maker("make", ""), makes),
    ]
    failures: list[BaseException] = []
    dice = random.Random(turns)

    def guarded(writer: Writer, step: Step, node: RunningNode) -> None:
        try:
            writer.run(step, node.endpoint)
        except BaseException as error:
            failures.append(error)

    for turn in range(turns):
        with running_node(tmp_path, targets=2) as node:
            if not turn:
                for bucket in ("b", "rename-one"):
                    node.client().bucket(bucket).create()
            for writer, _ in writers:
                writer.check(node.endpoint)
            threads = [threading.Thread(target=guarded, args=(*pair, node)) for pair in writers]
            for thread in threads:
                thread.start()
            threads[0].join(0.2 + dice.random())
            node.kill()
            for thread in threads:
                thread.join()
        assert not failures, "\n".join(map(str, failures))
    with running_node(tmp_path, targets=2) as node:
        for writer, _ in writers:
            writer.check(node.endpoint)
    return {writer.name: writer.done for writer, _ in writers}


@pytest.mark.whole
def test_what_was_acknowledged_outlives_kills_in_every_kind_of_writing(tmp_path: Path) -> None:
    done = kill_repeatedly(tmp_path, 8)
    assert min(done.values()) > 0, done


@pytest.mark.soak
def test_two_hundred_kills(tmp_path: Path) -> None:
    print(kill_repeatedly(tmp_path, 200))
