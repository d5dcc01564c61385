"""Shards are read as others write them, and what is damaged is never taken for the end."""

import gzip
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore import TarWriter, members
from instore.errors import ShardError
from instore.shards.stream import zstd
from tests.shards.archives import FILES, KINDS, by_tar, shard, tar, with_holes

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
SMALL = {"a.txt": b"one", "b.txt": b"two" * 300}


def read(data: bytes) -> dict[str, bytes]:
    return {member.name: member.read() for member in members(io.BytesIO(data))}


def copied(data: bytes) -> bytes:
    writer = TarWriter()
    pieces = [piece for member in members(io.BytesIO(data)) for piece in writer.copy(member)]
    return b"".join([*pieces, writer.end()])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_by_how_it_begins(kind: str) -> None:
    assert list(read(shard(kind)).items()) == list(FILES.items())


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_tar_is_read(form: int) -> None:
    files = {**FILES, "日" * 50: b"x", "bytes-\udcff": b"y"} if form != tarfile.USTAR_FORMAT else FILES
    found = list(members(io.BytesIO(tar(files, form))))
    assert read(tar(files, form)) == files
    assert {(one.size, one.mtime, one.mode) for one in found} >= {(5, 1_700_000_000, 0o640)}


def test_the_oldest_format_is_read() -> None:
    data = bytearray(tar({"old.txt": b"v7"}, tarfile.USTAR_FORMAT))
    data[156] = 0  # the type of a file then
    data[257:500] = bytes(243)  # no magic, nothing behind it
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert read(bytes(data)) == {"old.txt": b"v7"}
    assert read(copied(bytes(data))) == {"old.txt": b"v7"}


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_copied_stays_byte_for_byte(form: int) -> None:
    data = tar(form=form, mtime=1_700_000_000.25 if form == tarfile.PAX_FORMAT else 1_700_000_000)
    assert data.startswith(copied(data)[:-1024])


def test_links_folders_and_global_headers_are_copied(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_bytes(b"content")
    (tmp_path / "symbolic").symlink_to("d/file")
    (tmp_path / "twice").hardlink_to(tmp_path / "d/file")
    for options in (["--format=gnu"], ["--format=pax", "--pax-option=globexthdr.name=g,comment=hello"]):
        data = by_tar(tmp_path, *options)
        assert data.startswith(copied(data)[:-1024])
        assert [one.name for one in members(io.BytesIO(data)) if one.is_file] == ["./d/file"]


@pytest.mark.parametrize("options", [["gnu"], ["pax", "--sparse-version=0.0"], ["pax", "--sparse-version=1.0"]])
def test_sparse_members_are_known_and_copied(tmp_path: Path, options: list[str]) -> None:
    with_holes(tmp_path / "holes", 30)  # more than a header has room for
    (tmp_path / "plain").write_bytes(b"plain")
    data = by_tar(tmp_path, "--sparse", f"--format={options[0]}", *options[1:])
    assert data.startswith(copied(data)[:-1024])
    found = {one.raw.size: one.is_sparse for one in members(io.BytesIO(data)) if one.is_file}
    assert found.pop(5) is False
    assert [*found.values()] == [True]
    subprocess.run(["tar", "-xf", "-", "-C", tmp_path], input=copied(data), check=True)
    assert (tmp_path / "holes").stat().st_size == 30 << 20


def test_sizes_that_only_an_extended_header_has_are_read() -> None:
    def said(size: str) -> bytes:
        info = tarfile.TarInfo("large.bin")
        info.pax_headers = {"size": size}
        return info.tobuf(tarfile.PAX_FORMAT) + b"five!" + bytes(507 + 1024)

    assert read(said("5")) == {"large.bin": b"five!"}
    with pytest.raises(ShardError, match="an extended header says size='-5'"):
        read(said("-5"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_beginning_of_a_shard_is_a_shard(kind: str) -> None:
    data = shard(kind, SMALL)
    whole = len(data.rstrip(b"\0")) if kind != "tar" else 512 * 5  # headers, contents; the end marker is not padding
    for end in range(0, whole, 7):
        with pytest.raises(ShardError):
            read(data[:end])


def test_a_tar_that_breaks_off_between_blocks_is_truncated() -> None:
    data = tar(SMALL)
    for end in range(512, 512 * 6, 512):
        with pytest.raises(ShardError, match="truncated"):
            read(data[:end])
    assert read(data[: 512 * 7]) == SMALL  # one block of the end marker's two: nothing can be missing


def test_a_damaged_header_is_not_the_end() -> None:
    data = bytearray(tar(SMALL))
    data[1024 + 3] ^= 1  # the second member's name
    with pytest.raises(ShardError, match="the header at byte 1024 is none"):
        read(bytes(data))


def test_what_follows_the_end_marker_is_not_lost() -> None:
    with pytest.raises(ShardError, match="something follows the end marker"):
        read(tar(SMALL) + tar({"c": b"three"}))


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_several_compressed_streams_are_one(kind: str) -> None:
    data = tar(SMALL)
    compress = gzip.compress if kind == "tar.gz" else zstd().compress
    assert read(compress(data[:700]) + compress(data[700:])) == SMALL
    with pytest.raises(ShardError, match="truncated"):
        read(compress(data[:700]))


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst", "zip"])
def test_checksums_are_checked(kind: str) -> None:
    if kind == "tar.gz":
        data = bytearray(shard(kind))
        data[-6] ^= 1  # of the checksum
    elif kind == "tar.zst":
        options = {zstd().CompressionParameter.checksum_flag: 1}
        data = bytearray(zstd().compress(tar(), options=options))
        data[-1] ^= 1
    else:
        data = bytearray(shard(kind).replace(b"first", b"fjrst"))
    with pytest.raises(ShardError, match="damaged"):
        read(bytes(data))


def test_what_is_no_shard_is_said_to_be_none() -> None:
    with pytest.raises(ShardError, match="it is no shard: it is neither a tar"):
        read(b"GIF89a" * 200)
    with pytest.raises(ShardError, match="an empty object is no shard"):
        read(b"")
    with pytest.raises(ShardError, match="no shard"):
        read(gzip.compress(b"no tar" * 200))


def test_a_reader_that_gives_no_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match=r"StringIO.read gives no bytes; shards are read from synchronous readers"):
        list(members(io.StringIO("text")))  # type: ignore[arg-type]


def test_an_extended_header_has_its_bound() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    with pytest.raises(ShardError, match=r"the most are 1048576"):
        read(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))


@pytest.mark.parametrize("records", [b"99 path=x\n", b"9 size=x\n", b"x\n", b"12 mtime=nan\n", b"7 a=bcd"])
def test_a_malformed_extended_header_is_refused(records: bytes) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    data = info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512) + tar(SMALL)
    with pytest.raises(ShardError, match="extended header"):
        read(data)


def test_a_global_header_does_not_name_members() -> None:
    info = tarfile.TarInfo("g")
    record = b"10 path=x\n"
    info.type, info.size = tarfile.XGLTYPE, len(record)
    data = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(502) + tar(SMALL)
    with pytest.raises(ShardError, match="a global header gives every member the same path"):
        read(data)


def test_an_encrypted_zip_is_refused() -> None:
    data = bytearray(shard("zip", {"a": b"x"}))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    with pytest.raises(ShardError, match="'a' is encrypted"):
        read(bytes(data))


def test_damage_is_remembered() -> None:
    iterator = members(io.BytesIO(tar(SMALL)[:1700]))
    next(iterator)
    second = next(iterator)
    for _ in range(2):
        with pytest.raises(ShardError, match=r"it ends at byte 1700, in the member 'b.txt'"):
            second.read()
    with pytest.raises(ShardError):
        next(iterator)


def test_a_member_is_read_in_pieces_or_not_at_all() -> None:
    data = tar({"a": b"abcdef", "b": b"x" * 5000, "c": b"last"})
    found = [member.read(3) if member.name != "b" else b"" for member in members(io.BytesIO(data))]
    assert found == [b"abc", b"", b"las"]


@given(st.binary(max_size=3000), st.integers(0, 2**16), st.integers(0, 7))
def test_a_flipped_bit_loses_no_member_in_silence(content: bytes, place: int, bit: int) -> None:
    data = bytearray(tar({"a": content, "b": b"second"}))
    data[place % len(data)] ^= 1 << bit
    try:
        found = read(bytes(data))
    except ShardError:
        return
    assert len(found) == 2


@given(st.binary(min_size=1, max_size=2000))
def test_any_bytes_are_a_shard_or_refused(data: bytes) -> None:
    for start in (b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"):
        with pytest.raises(ShardError):
            read(start + data)


def test_zips_of_other_programs_keep_what_is_said_of_members() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("日.txt", (2020, 2, 3, 4, 5, 6))
        info.external_attr = 0o100600 << 16
        archive.writestr(info, b"x")
        archive.mkdir("folder")
    first, second = members(io.BytesIO(out.getvalue()))
    assert (first.name, first.mode, first.mtime, first.is_file) == ("日.txt", 0o600, 1580702706, True)
    assert (second.name, second.is_file) == ("folder/", False)
