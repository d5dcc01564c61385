"""What is written is what others read."""

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore import TarWriter, members
from instore.errors import ConfigurationError, ShardError
from instore.shards.writer import KINDS, ShardWriter, kind_of, shard_writer
from tests.shards.archives import FILES, content, shard, tar

NAMES = st.lists(st.text("aé日/. -", min_size=1, max_size=150).filter(lambda name: name.strip("/")), unique=True)


def written(kind: str, files: dict[str, bytes]) -> bytes:
    writer = shard_writer(kind)
    pieces = [piece for name, data in files.items() for piece in writer.add_file(name, io.BytesIO(data), len(data))]
    return b"".join([*pieces, writer.end()])


@pytest.mark.parametrize("kind", sorted(set(KINDS.values())))
def test_others_read_every_kind(kind: str) -> None:
    files = {**FILES, "large": bytes(1 << 20)}
    assert list(content(kind, written(kind, files)).items()) == list(files.items())
    assert written(kind, files) == written(kind, files)


@given(NAMES.filter(bool))
def test_any_name_comes_back(names: list[str]) -> None:
    writer = TarWriter()
    pieces = [piece for name in names for piece in writer.add(name, name.encode())]
    data = b"".join([*pieces, writer.end()])
    assert [(one.name, one.read()) for one in members(io.BytesIO(data)) if one.is_file] == [
        (name, name.encode()) for name in names
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_gets_the_header_fields_of_another(form: int) -> None:
    writer = TarWriter()
    mtime = 1_700_000_000.25 if form == tarfile.PAX_FORMAT else 1_700_000_000
    (old,) = members(io.BytesIO(tar({"old" * 50: b"x"}, form, mtime)))
    data = b"".join([*writer.add("new", b"content", like=old), writer.end()])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        info = archive.getmember("new")
    assert (info.size, info.mtime, info.mode, info.uname) == (7, mtime, 0o640, "someone")


def test_a_tar_is_in_the_format_of_gnu() -> None:
    writer = TarWriter()
    data = b"".join([*writer.add("n" * 150, b"x"), writer.end()])
    assert data[257:265] == b"ustar  \0"
    assert b"././@LongLink" in data


def test_sizes_of_more_than_eight_gigabytes_are_written_and_read() -> None:
    header = next(TarWriter().add_file("large", io.BytesIO(bytes(1 << 20)), 9 << 30))
    assert next(members(io.BytesIO(header))).size == 9 << 30


def test_what_can_not_be_a_shard_is_refused() -> None:
    for kind in set(KINDS.values()):
        with pytest.raises(ShardError, match="without members"):
            shard_writer(kind).end()
    for name in ("", "/", "a\0b"):
        with pytest.raises(ShardError, match="no name for a member"):
            list(TarWriter().add(name, b""))
    for writer in (TarWriter(), shard_writer("zip")):
        with pytest.raises(ShardError, match="has 3 bytes, and not 5"):
            list(writer.add_file("short", io.BytesIO(b"abc"), 5))
    with pytest.raises(ConfigurationError, match="no compression 'xz'"):
        TarWriter("xz")


@pytest.mark.parametrize("writer", [TarWriter(), shard_writer("zip")])
def test_what_has_been_read_is_not_copied(writer: ShardWriter) -> None:
    for kind in ("tar", "zip"):
        for member in members(io.BytesIO(shard(kind, {"a": b"abc"}))):
            member.read(1)
            with pytest.raises(ShardError, match="read already"):
                list(writer.copy(member))


def test_members_go_from_a_zip_to_a_tar_and_back() -> None:
    for source, target in (("zip", "tar"), ("tar", "zip")):
        writer = shard_writer(target)
        pieces = [piece for one in members(io.BytesIO(shard(source))) for piece in writer.copy(one)]
        assert content(target, b"".join([*pieces, writer.end()])) == FILES


def test_what_a_zip_says_of_a_member_is_copied() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("a", (2020, 2, 3, 4, 5, 6))
        info.external_attr, info.comment = 0o120777 << 16, b"hello"  # a link
        info.extra = b"\x55\x54\x05\0\1\0\0\0\0"
        archive.writestr(info, b"target")
    writer = shard_writer("zip")
    data = b"".join([piece for one in members(io.BytesIO(out.getvalue())) for piece in writer.copy(one)])
    (copied,) = zipfile.ZipFile(io.BytesIO(data + writer.end())).infolist()
    for field in ("date_time", "external_attr", "comment", "extra", "compress_type", "CRC"):
        assert getattr(copied, field) == getattr(info, field)


def test_a_name_tells_the_kind() -> None:
    names = ("a.tar", "a.b.tgz", "a.tar.gz", "a.tar.zst", "d/a.zip", "a.txt", "tar")
    assert [kind_of(name) for name in names] == ["tar", "tar.gz", "tar.gz", "tar.zst", "zip", "", ""]


MUTATIONS = st.lists(st.tuples(st.integers(0, 2047), st.integers(0, 255)), min_size=1, max_size=4)


def mutated(kind: str, mutations: list[tuple[int, int]]) -> bytes:
    """A shard with some bytes changed; a tar's headers have the right checksums all the same."""
    data = bytearray(shard(kind, {"a.txt": b"one" * 300, "日": b"two"}))
    for place, byte in mutations:
        data[place % len(data)] = byte
    for at in (0, 1536) if kind == "tar" else ():
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


@given(st.sampled_from(["tar", "zip"]), MUTATIONS, st.sampled_from(["tar", "zip"]), st.booleans())
def test_what_is_made_of_a_changed_shard_is_a_shard_or_the_change_is_refused(
    kind: str, mutations: list[tuple[int, int]], made: str, is_copied: bool
) -> None:
    writer = shard_writer(made)
    pieces: list[bytes] = []
    try:
        for member in members(io.BytesIO(mutated(kind, mutations))):
            if is_copied or not member.is_file or member.is_sparse:
                pieces += writer.copy(member)
            else:
                data = member.read()
                pieces += writer.add_file(member.name, io.BytesIO(data), len(data), like=member)
        pieces.append(writer.end())
    except ShardError:
        return
    assert len(list(members(io.BytesIO(b"".join(pieces))))) > 0
