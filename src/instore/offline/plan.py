"""What goes where: a source, a destination, and what results are called. No object is read, and nothing is written."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from instore.errors import ConfigurationError, NameConflictError
from instore.offline.bucket_destination import BucketDestination
from instore.offline.bucket_source import BucketSource
from instore.offline.cloud_destination import CloudDestination
from instore.offline.cloud_source import CloudSource
from instore.offline.cloud_store import NO_OPTIONS, SCHEMES, CloudOptions
from instore.offline.folder_destination import PARTIAL, FolderDestination
from instore.offline.folder_source import FolderSource, is_inside
from instore.offline.interfaces import (
    Item,
    ItemState,
    ListedDestination,
    ListedSource,
    LooksAhead,
    RemembersOrigins,
    ResultOrigin,
    listed_at_once,
)
from instore.offline.maker import Maker
from instore.offline.naming import Naming, folded
from instore.offline.nowhere import Nowhere
from instore.offline.part import JobPart
from instore.offline.records import Record, RecordState, shared
from instore.offline.remote_bucket import SCHEME
from instore.offline.several_folders import SeveralFolders
from instore.offline.web_folder import WEB_SCHEMES
from instore.offline.web_source import WebSource
from instore.system.printable import printable

_AHEAD = 64  # results that are looked at at once


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where.

    Attributes:
        source, destination: both sides.
        naming: what results are called.
        overwrite: results that are already there are made again.
        maker: what makes the results.
        update: results that are there are made again if they are outdated.
        selection: how the objects were selected, for a person; empty: they are all of the source.
        folders: the real paths of the folders whose files are objects.
    """

    source: ListedSource
    destination: ListedDestination[Any]
    naming: Naming = field(default_factory=Naming)
    overwrite: bool = False
    maker: Maker | None = None
    update: bool = False
    selection: str = ""
    folders: Sequence[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether both sides are folders."""
        return isinstance(self.source, FolderSource) and isinstance(self.destination, FolderDestination)

    def items(self, behind: int = 0) -> Iterator[Item]:
        """Everything in the source behind the first few, and what is to be made of it.

        It blocks, and may be called more than once.

        It is in order where that matters: for a bucket, which is asked for results page by page; and where the first
        of two names has the result, as they are one to the destination.
        """
        is_bucket = isinstance(self.destination, BucketDestination | CloudDestination)
        in_order = is_bucket or self.destination.folds_names
        items = self.source.list() if in_order else listed_at_once(self.source)
        return self._all_judged(islice(items, behind, None))

    def checked_items(self) -> Iterator[Item]:
        """`items`, in order, with a look at whether two of them want the same result."""
        for item in self._all_judged(self.source.list()):
            other = self._conflict_of(item) if item.result else None
            if other is not None:
                raise ConfigurationError(
                    f"{printable(item.name)} and {printable(other)} would both become {printable(item.result)}; "
                    "change --ext, or transform them into different places"
                )
            yield item

    def _all_judged(self, items: Iterator[Item]) -> Iterator[Item]:
        taken: set[str] = set()
        for item in self._ahead(items):
            yield self._judged(item, taken) if item.state is ItemState.TODO else item

    def _ahead(self, items: Iterator[Item]) -> Iterator[Item]:
        """The items; where the origins of their results will be wanted, and take long, many are looked at at once."""
        if not self.update or self.overwrite or not isinstance(self.destination, LooksAhead):
            yield from items
            return
        while batch := list(islice(items, _AHEAD)):
            self.destination.look_at([self.naming(item.name) for item in batch if item.state is ItemState.TODO])
            yield from batch

    def _judged(self, item: Item, taken: set[str]) -> Item:
        result = self.naming(item.name)
        record = self.destination.records.of(item.name)
        if record is not None:
            return self._recorded(item._replace(result=result), record)
        try:
            if self.destination.folds_names:
                _take(result, taken)
            there = self.destination.exists(result)
        except NameConflictError as error:
            reason = f"its result can't be called {printable(result)}: {error}"
            return item._replace(state=ItemState.FAILED, reason=reason, result=result)
        owner = self.destination.records.owner(result)
        if owner not in ("", item.name):
            return item._replace(state=ItemState.FAILED, reason=shared(item.name, owner, result), result=result)
        if not there or self.overwrite:
            return item._replace(result=result)
        outdated = self._outdated(item, result)
        state = ItemState.TODO if outdated and self.update else ItemState.THERE
        return item._replace(state=state, result=result, outdated=outdated)

    def _recorded(self, item: Item, record: Record) -> Item:
        """An object of which a record tells."""
        origin = ResultOrigin(record.code, record.arguments, record.size, record.modified)
        outdated = self._outdated_by(origin, item)
        is_whole = record.state is not RecordState.BEGUN and self.destination.has_all(record.names)
        if self.overwrite or not is_whole or (outdated and self.update):
            return item._replace(outdated=outdated if is_whole and not self.overwrite else "")
        state = ItemState.SKIPPED if record.state is RecordState.SKIPPED else ItemState.THERE
        return item._replace(state=state, reason=record.reason, result="", outdated=outdated)

    def _outdated(self, item: Item, result: str) -> str:
        """Why the result that is there is not what would be made now; empty if it is, as far as that is known."""
        if self.maker is None or not isinstance(self.destination, RemembersOrigins):
            return ""
        return self._outdated_by(self.destination.origin(result), item)

    def _outdated_by(self, origin: ResultOrigin, item: Item) -> str:
        if self.maker is None:
            return ""
        if origin.code not in ("", self.maker.code):
            return "by another class, or by another version of it"
        if origin.arguments not in ("", self.maker.arguments):
            return "with other arguments"
        is_other = origin.size not in (-1, item.size) or (origin.tag and item.tag not in ("", origin.tag))
        if is_other or item.modified > origin.modified:
            return "of objects that have changed since"
        return ""

    def _conflict_of(self, item: Item) -> str | None:
        """The name of another object with the same result as `item`; None if there is none.

        Two names share a result only if an extension was mapped, so the few names that could be the other one are
        looked for, instead of every result's name being remembered.
        """
        others = self.naming.origins(item.result) if self.naming.extensions else ()
        return next(
            (
                name
                for name in others
                if name != item.name and name.startswith(self.source.prefix) and self.source.has(name)
            ),
            None,
        )


def make_plan(
    source: str | ListedSource,
    destination: str | None,
    prefix: str = "",
    extensions: Sequence[str] = (),
    prepend: str = "",
    overwrite: bool = False,
    clouds: CloudOptions = NO_OPTIONS,
    *,
    names: Sequence[str] = (),
    is_listed: bool = True,
    maker: Maker | None = None,
    update: bool = False,
    preserve: bool = False,
    part: JobPart | None = None,
) -> Plan:
    """The plan for what a user has written. A prefix in DST's URL goes before the results' names, before `prepend`.

    With `names` it is about these files of the folder SRC alone, so that DST may be the folder, or lie inside it.
    A SRC that is not listed, but asked for names, needs no page of links. Without a destination nothing is written.
    """
    schemes = scheme_of(source) if isinstance(source, str) else "", scheme_of(destination or "")
    if schemes[1] in WEB_SCHEMES:
        raise ConfigurationError(f"DST {printable(destination or '')}: results can't be put on the web; name another")
    _check_options(schemes, clouds, overwrite or update)
    in_url = destination.partition("://")[2].partition("/")[2] if destination and schemes[1] else ""
    naming = Naming.from_options(in_url + prepend, extensions)
    if schemes[1] and preserve:
        raise ConfigurationError("--preserve is for results in a folder, and DST is a bucket; leave it out")
    origin = _source(source, prefix, clouds, is_listed) if isinstance(source, str) else source
    folders = _folders(origin)
    if destination is None:
        return Plan(origin, Nowhere(naming), naming, folders=folders)
    if schemes[1]:
        bucket = (
            BucketDestination(destination, naming, maker)
            if schemes[1] == AIS
            else CloudDestination(destination, naming, clouds, _metadata_of(origin, clouds), maker)
        )
        if isinstance(origin, BucketSource | CloudSource):
            _check_buckets(origin, bucket, naming)
        # To know what made a result takes a request for each: only who asks for it has them looked at.
        return Plan(origin, bucket, naming, overwrite, maker if update else None, update, folders=folders)
    if preserve and not origin.file_root:
        raise ConfigurationError("--preserve is for files, and SRC has none; leave it out")
    if prepend.split("/")[0] == PARTIAL:
        raise ConfigurationError(f"--prepend {printable(prepend)}: {PARTIAL} is where unfinished results are kept")
    folder = FolderDestination(destination, overwrite or update, maker, preserve, part, naming)
    if isinstance(origin, SeveralFolders):
        _check_names(origin.files, folder, naming)
    if names and isinstance(origin, FolderSource):
        _check_names([os.path.join(origin.folder, name) for name in names], folder, naming)
    else:
        for one in folders:
            _check_folders(one, source if isinstance(source, str) else one, folder, destination)
    return Plan(origin, folder, naming, overwrite, maker, update, folders=folders)


def _folders(origin: ListedSource) -> Sequence[str]:
    """The folders whose files are objects."""
    if isinstance(origin, SeveralFolders):
        return origin.folders
    return [origin.folder] if isinstance(origin, FolderSource) else ()


def _check_names(files: Sequence[str], folder: FolderDestination, naming: Naming) -> None:
    originals = set(files)
    for name in map(os.path.basename, files):
        result = os.path.join(folder.folder, naming(name))
        if result in originals:
            raise ConfigurationError(
                f"the result of {printable(name)} would be SRC {printable(result)} itself; name another DST, or --ext"
            )


AIS = SCHEME.partition(":")[0]
"""The scheme of AIStore's buckets."""


def scheme_of(place: str) -> str:
    """That of the bucket which SRC or DST names; empty for a folder."""
    scheme, separator, _ = place.partition("://")
    if not separator or not scheme.isalnum():
        return ""
    if scheme not in (AIS, *SCHEMES, *WEB_SCHEMES):
        known = ", ".join(f"{one}://BUCKET" for one in (AIS, *SCHEMES))
        raise ConfigurationError(
            f"{printable(place)} is neither a folder nor {known}; a folder of that name is ./{printable(place)}"
        )
    return scheme


def _check_options(schemes: tuple[str, str], clouds: CloudOptions, overwrite: bool) -> None:
    """Refuse what nothing would come of."""
    source, destination = (scheme if scheme in SCHEMES else "" for scheme in schemes)
    neither, both = not (source or destination), source and destination
    refused = [
        (clouds.endpoint and neither, "--endpoint needs a cloud's bucket as SRC or DST"),
        (
            clouds.endpoint and both and source != destination,
            f"--endpoint is of one store, and SRC is {source}://, DST {destination}://",
        ),
        (clouds.anonymous and not source, "--anonymous needs a cloud's bucket as SRC"),
        (clouds.keep_metadata and not both, "--keep-metadata needs a cloud's bucket as SRC and as DST"),
        (clouds.no_clobber and not destination, "--no-clobber needs a cloud's bucket as DST"),
        (
            clouds.no_clobber and overwrite,
            "--no-clobber leaves what is there, and --overwrite and --update replace it; give one of them",
        ),
    ]
    for is_refused, reason in refused:
        if is_refused:
            raise ConfigurationError(reason)


def _source(place: str, prefix: str, clouds: CloudOptions, is_listed: bool) -> ListedSource:
    scheme = scheme_of(place)
    if not scheme:
        return FolderSource(place, prefix)
    if scheme in WEB_SCHEMES:
        return WebSource(place, prefix, is_listed)
    return BucketSource(place, prefix) if scheme == AIS else CloudSource(place, prefix, clouds)


def _metadata_of(origin: ListedSource, clouds: CloudOptions) -> Callable[[str], Awaitable[Mapping[str, str]]] | None:
    """Where results get the metadata of their objects from, if they are to have it."""
    return origin.bucket.metadata if clouds.keep_metadata and isinstance(origin, CloudSource) else None


def _check_folders(origin: str, source: str, folder: FolderDestination, destination: str) -> None:
    if origin == folder.folder:
        raise ConfigurationError(f"SRC and DST are the same folder, {printable(origin)}; name another DST")
    if is_inside(folder.folder, origin):
        raise ConfigurationError(
            f"DST {printable(destination)} lies inside SRC {printable(source)}: results would become objects; "
            "name a DST elsewhere"
        )
    if is_inside(origin, folder.folder):
        raise ConfigurationError(
            f"SRC {printable(source)} lies inside DST {printable(destination)}: results could replace objects; "
            "name a DST elsewhere"
        )


def _check_buckets(
    origin: BucketSource | CloudSource, bucket: BucketDestination | CloudDestination, naming: Naming
) -> None:
    prefix = origin.prefix
    if str(origin.bucket) == str(bucket.bucket) and (naming.prepend + prefix).startswith(prefix):
        taken = f"every name that starts with {prefix!r}" if prefix else "every name"
        raise ConfigurationError(
            f"the results in {bucket.bucket} would become objects of this job: SRC stands for {taken} there; "
            "name another bucket, or a prefix in SRC and another in DST"
        )


def _take(result: str, taken: set[str]) -> None:
    """Take a name, unless one that is the same to a destination that folds names is taken."""
    if folded(result) in taken:
        raise NameConflictError("to DST's file system that is the name of another result")
    taken.add(folded(result))


def is_in_source(plan: Plan, path: str) -> bool:
    """Whether a file would become an object of the plan."""
    return any(is_inside(os.path.realpath(path), folder) for folder in plan.folders)
