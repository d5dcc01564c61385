"""What became of objects whose results don't have their names: several, renamed ones, or none, for they were skipped.

Strategy: a destination keeps a line of JSON for each such object; of several for one object the last counts. They are
read into a temporary database when they are first asked for, so that memory stays bounded however many there are. The
same database has the names that this job's results have taken, so that no two objects share one.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from instore.errors import InvalidRequestError, NameConflictError
from instore.offline.naming import Naming, folded
from instore.protocol.names import why_no_object_name
from instore.system.printable import printable

RECORDS = ".instore-results"
"""The folder in a destination that has the records."""

_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE objects (name BLOB PRIMARY KEY, state TEXT, line BLOB, time INTEGER) WITHOUT ROWID;
    CREATE TABLE results (name BLOB PRIMARY KEY, object BLOB, is_recorded INTEGER) WITHOUT ROWID;
    CREATE INDEX results_of_objects ON results (object);
    CREATE TABLE plain (digest INTEGER PRIMARY KEY);
    BEGIN;
"""
"""One transaction, which is never committed: nobody else reads it, and a commit for each name takes far longer."""


OF_A_JOB = "the records of a job"
"""What is said of records that are found in a source."""


class RecordState(StrEnum):
    """How far an object has come."""

    BEGUN = "begun"
    DONE = "done"
    SKIPPED = "skipped"
    PLAIN = "plain"  # nothing is to be known of it any more


class MadeResult(NamedTuple):
    """One of an object's results.

    Attributes:
        name: its whole name in the destination.
        size: its bytes.
    """

    name: str
    size: int


class Record(NamedTuple):
    """What became of an object.

    Attributes:
        object: its name, behind what goes before results' names.
        state: how far it came.
        results: its results.
        reason: why it was skipped.
        code, arguments, size, modified: as in a `ResultOrigin`.
        files: where the results lie that are not committed, below the destination, while it is `BEGUN`.
        old: the names of the results it had before, while it is `BEGUN`.
    """

    object: str
    state: RecordState
    results: Sequence[MadeResult] = ()
    reason: str = ""
    code: str = ""
    arguments: str = ""
    size: int = -1
    modified: int = 0
    files: Sequence[str] = ()
    old: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Those of its results."""
        return [result.name for result in self.results]

    @property
    def stale(self) -> list[str]:
        """Results that it had before, and has no longer."""
        return sorted(set(self.old) - set(self.names))


def line_of(record: Record) -> bytes:
    """A record as it is kept."""
    return json.dumps({**record._asdict(), "time": time.time_ns()}).encode() + b"\n"


def _parse(line: bytes) -> tuple[Record, int] | None:
    """A record, and when it was made; None: the line is empty, or a kill has torn it."""
    try:
        fields = json.loads(line)
        made = fields.pop("time")
        results = [MadeResult(*result) for result in fields.pop("results")]
        return Record(**{**fields, "state": RecordState(fields["state"])}, results=results), made
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class ResultRecords:
    """The records of a destination, and the names that its results have taken. Any thread may ask.

    Args:
        naming: what results are called.
        read: gives the lines that are kept; it may block. Called once, when a record is first asked for.

    Attributes:
        folds_names: see `ListedDestination`.
    """

    def __init__(self, naming: Naming, read: Callable[[], Iterable[bytes]] = lambda: ()) -> None:
        self.folds_names = False
        self._naming = naming
        self._read_lines = read
        self._is_read = False
        self._is_empty = True  # there is no record, and no name is taken but those of plain results
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None

    def read(self) -> None:
        """Read what is kept, unless it has been read; it may block."""
        with self._lock:
            self._has_any()

    def of(self, name: str) -> Record | None:
        """What became of the object `name`, as far as its result's name doesn't tell."""
        with self._lock:
            if not self._has_any():
                return None
            row = self._database.execute("SELECT line FROM objects WHERE name = ?", [self._key(name)]).fetchone()
            parsed = None if row is None else _parse(row[0])
            return None if parsed is None or parsed[0].state is RecordState.PLAIN else parsed[0]

    def begun(self) -> list[Record]:
        """Those that a kill has left so."""
        with self._lock:
            if not self._has_any():
                return []
            rows = self._database.execute("SELECT line FROM objects WHERE state = ?", [RecordState.BEGUN]).fetchall()
        return [parsed[0] for row in rows if (parsed := _parse(row[0])) is not None]

    def owner(self, result: str) -> str:
        """The object that has the result `result`, by a record or in this job; empty: none, as far as is known."""
        with self._lock:
            if not self._has_any():
                return ""
            row = self._database.execute("SELECT object FROM results WHERE name = ?", [self._name(result)]).fetchone()
        return "" if row is None else _text(row[0]).removeprefix(self._naming.prepend)

    def claim(self, name: str, result: str) -> str:
        """Take a name for a result of the object `name`; the result's whole name.

        Args:
            name: the object's.
            result: as the transform calls it; empty: as a plain result is called.

        Raises:
            NameConflictError: another object has a result of that name, or no result can have it.
        """
        plain = self._naming(name)
        whole = self._naming.prepend + result if result else plain
        if result:
            _check(whole)
        with self._lock:
            other = self.owner(whole)
            if not other and whole != plain and self._is_plain(whole):
                other = next(self._naming.origins(whole), "")
            if other not in ("", name):
                raise NameConflictError(shared(name, other, whole))
            self._is_empty = False
            self._database.execute(
                "INSERT OR IGNORE INTO results VALUES (?, ?, 0)", [self._name(whole), self._key(name)]
            )
        return whole

    def claim_plain(self, name: str) -> None:
        """Take the name of the plain result of the object `name`, where it would replace what has that name.

        Raises:
            NameConflictError: another object has a result of that name.
        """
        result = self._naming(name)
        with self._lock:
            other = self.owner(result)
            if other not in ("", name):
                raise NameConflictError(shared(name, other, result))
            self._database.execute("INSERT OR IGNORE INTO plain VALUES (?)", [self._digest(result)])

    def release(self, name: str) -> None:
        """Give back the names that were taken for an object that has failed."""
        with self._lock:
            self._database.execute("DELETE FROM results WHERE object = ? AND NOT is_recorded", [self._key(name)])

    def record(self, name: str, state: RecordState, results: Sequence[MadeResult] = ()) -> Record:
        """A new record of the object `name`."""
        before = self.of(name)
        old = () if before is None else dict.fromkeys([*before.old, *before.names])
        return Record(self._naming.prepend + name, state, results, old=[*old])

    def settle(self, record: Record) -> None:
        """Note what is kept now."""
        with self._lock:
            self._note(record, time.time_ns())
            is_over = record.state is not RecordState.BEGUN
            self._database.execute(
                "DELETE FROM results WHERE object = ? AND (? OR is_recorded)", [_blob(record.object), is_over]
            )
            self._add_names(record)

    def count(self) -> int:
        """How many objects have a record."""
        with self._lock:
            return self._database.execute("SELECT count(*) FROM objects").fetchone()[0] if self._has_any() else 0

    def lines(self) -> Iterator[bytes]:
        """All records, as they are kept."""
        with self._lock:
            if self._has_any():
                for (line,) in self._database.execute("SELECT line FROM objects WHERE state != ?", [RecordState.PLAIN]):
                    yield line

    def close(self) -> None:
        """Forget all of it."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            # A private file without a name, in which SQLite keeps what its memory has no room for.
            self._opened = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._opened.executescript(_TABLES)
        return self._opened

    def _has_any(self) -> bool:
        """Whether there can be something in the database; the first time, what is kept is read."""
        if not self._is_read:
            self._is_read = True
            for line in self._read_lines():
                if (parsed := _parse(line)) is not None:
                    self._note(*parsed)
            if not self._is_empty:
                for (line,) in self._database.execute("SELECT line FROM objects"):
                    if (parsed := _parse(line)) is not None:
                        self._add_names(parsed[0])
        return not self._is_empty

    def _note(self, record: Record, made: int) -> None:
        self._is_empty = False
        self._database.execute(
            "INSERT INTO objects VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET state = excluded.state, line = excluded.line, time = excluded.time WHERE excluded.time >= time",
            [_blob(record.object), record.state, line_of(record), made],
        )

    def _add_names(self, record: Record) -> None:
        if record.state is not RecordState.PLAIN:
            self._database.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, 1)",
                [(self._name(name), _blob(record.object)) for name in record.names],
            )

    def _is_plain(self, result: str) -> bool:
        return bool(self._database.execute("SELECT 1 FROM plain WHERE digest = ?", [self._digest(result)]).fetchone())

    def _key(self, name: str) -> bytes:
        return _blob(self._naming.prepend + name)

    def _name(self, result: str) -> bytes:
        return _blob(folded(result) if self.folds_names else result)

    def _digest(self, result: str) -> int:
        return int.from_bytes(blake2b(self._name(result), digest_size=8).digest(), "big", signed=True)


def shared(name: str, other: str, result: str) -> str:
    """Why two objects can't both have a result."""
    return f"{printable(name)} and {printable(other)} would both have a result that is called {printable(result)}"


def in_records(name: str) -> bool:
    """Whether a name is that of records."""
    return RECORDS in name.split("/")


def check_not_records(name: str) -> None:
    """Refuse a result's name that is one of records."""
    if in_records(name):
        raise NameConflictError(f"{RECORDS} has the records of jobs")


def check_result(name: str, check: Callable[[str], None]) -> None:
    """Refuse a name that no result in a bucket can have, by the bucket's own check or because records have it."""
    try:
        check(name)
    except InvalidRequestError as error:
        raise NameConflictError(str(error)) from error
    check_not_records(name)


def lines_of(data: bytes) -> Iterator[bytes]:
    """The lines of what is kept."""
    return (line for line in data.split(b"\n") if line)


def _check(name: str) -> None:
    reason = why_no_object_name(name)
    if reason:
        raise NameConflictError(f"{printable(name[:100])} can't be a result's name: {reason}")
    check_not_records(name)


def _blob(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
