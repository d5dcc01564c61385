import os
import threading
from pathlib import Path

import pytest

from instore.errors import (
    BucketNotFoundError,
    ConfigurationError,
    InvalidRequestError,
    NameConflictError,
    ObjectNotFoundError,
    StorageError,
)
from instore.protocol.paths import is_object_file
from instore.store.names import Bucket, parse_uname
from instore.store.store import Store

BUCKET = Bucket("b")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "t1"))
    store.create_bucket(BUCKET)
    return store


def test_an_object_s_path_is_one_that_servers_may_be_sent(store: Store) -> None:
    for bucket in (BUCKET, Bucket("c", "space")):
        store.create_bucket(bucket)
        store.put(bucket, "a/%ob/b", [b"x"])
        assert is_object_file(store.path(bucket, "a/%ob/b"))
        assert Path(store.path(bucket, "a/%ob/b")).read_bytes() == b"x"


def test_an_upload_that_is_not_committed_leaves_nothing(store: Store) -> None:
    store.put(BUCKET, "o", [b"old"])
    with store.upload(BUCKET, "o") as upload:
        upload.write(b"new")
    with store.open(BUCKET, "o") as opened:
        assert opened.read(0, 100) == b"old"
    assert os.listdir(store.work_folder(BUCKET)) == []


def test_whoever_has_opened_an_object_keeps_it_with_its_attributes(store: Store) -> None:
    first = store.put(BUCKET, "o", [b"old"], {"which": "old"})
    with store.open(BUCKET, "o") as opened:
        store.put(BUCKET, "o", [b"newer"], {"which": "new"})
        assert (opened.read(0, 100), opened.entry) == (b"old", first)
    assert store.head(BUCKET, "o").attributes.custom == {"which": "new"}
    assert store.head(BUCKET, "o").attributes.version == 2


def test_versions_count_every_put_of_many_at_once(store: Store) -> None:
    threads = [threading.Thread(target=lambda: [store.put(BUCKET, "d/o", [b"x"]) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.head(BUCKET, "d/o").attributes.version == 100


def test_puts_and_deletes_in_one_folder_do_not_disturb_each_other(store: Store) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(100):
                store.put(BUCKET, name, [b"x"])
                store.delete(BUCKET, name)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(f"a/b/{number}/c",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(store.walk(BUCKET)) == []


def test_a_put_that_outlives_its_bucket_is_refused(store: Store) -> None:
    upload = store.upload(BUCKET, "o")
    store.drop_bucket(BUCKET)
    with pytest.raises(BucketNotFoundError):
        upload.commit()
    upload.abort()
    for use in (
        lambda: store.put(BUCKET, "a/b", [b"x"]),
        lambda: store.head(BUCKET, "o"),
        lambda: store.delete(BUCKET, "o"),
        lambda: list(store.walk(BUCKET)),
    ):
        with pytest.raises(BucketNotFoundError):
            use()


def test_a_put_does_not_get_into_the_next_bucket_of_that_name(store: Store) -> None:
    with store.upload(BUCKET, "o") as upload:
        upload.write(b"old bucket's")
        store.create_bucket(BUCKET)
        with pytest.raises((BucketNotFoundError, StorageError)):
            upload.commit()
    assert list(store.walk(BUCKET)) == []


def test_empty_folders_give_way_and_full_ones_do_not(store: Store) -> None:
    os.makedirs(store.path(BUCKET, "left/over/by"))
    store.put(BUCKET, "left", [b"x"])
    store.put(BUCKET, "d/e/f", [b"x"])
    os.makedirs(store.path(BUCKET, "d/g"))
    for name in ("d", "d/e", "left/a", "left/a/b", "d/e/f/g"):
        with pytest.raises(NameConflictError, match="choose another name"):
            store.put(BUCKET, name, [b"y"])
    assert list(store.walk(BUCKET)) == ["d/e/f", "left"]


def test_a_page_has_at_most_its_limit_and_follows_its_beginning(store: Store) -> None:
    for number in range(10):
        store.put(BUCKET, f"o{number}", [b"x" * number])
    assert [(entry.name, entry.size) for entry in store.list(BUCKET, "o", "o3", 3)] == [("o4", 4), ("o5", 5), ("o6", 6)]


def test_files_that_were_laid_there_by_hand_are_objects_without_a_checksum(store: Store) -> None:
    Path(store.path(BUCKET, "by-hand")).write_bytes(b"x")
    assert store.head(BUCKET, "by-hand").attributes == ("", 0, {})
    store.put(BUCKET, "by-hand", [b"y"])
    assert store.head(BUCKET, "by-hand").attributes.version == 1


def test_links_and_pipes_are_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    os.symlink(tmp_path / "secret", store.path(BUCKET, "link"))
    with pytest.raises(StorageError):
        store.open(BUCKET, "link")


def test_trash_is_emptied(store: Store) -> None:
    store.put(BUCKET, "a/b", [b"x"])
    store.drop_bucket(BUCKET)
    store.drop_bucket(BUCKET)
    store.empty_trash()
    assert os.listdir(Path(store.folder) / "trash") == []


def test_the_emptying_of_the_trash_stops_when_it_is_told_to_and_goes_on_later(store: Store) -> None:
    store.put(BUCKET, "a/b", [b"x"])
    store.drop_bucket(BUCKET)
    stopping = threading.Event()
    stopping.set()
    store.empty_trash(stopping)
    assert len(os.listdir(Path(store.folder) / "trash")) == 1
    store.empty_trash()
    assert os.listdir(Path(store.folder) / "trash") == []


def test_a_folder_without_extended_attributes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--dir"):
        Store("/proc/self/t1")


@pytest.mark.parametrize("name", ["", "/", "a//b", ".", "..", "a/..", "a\0b", "x" * 256, "y/" * 513, "\udc80"])
def test_names_that_no_file_can_have_are_refused(store: Store, name: str) -> None:
    for use in (store.path, store.head, store.delete, store.upload):
        with pytest.raises(InvalidRequestError, match="can't be an object's name"):
            use(BUCKET, name)


def test_unames() -> None:
    assert parse_uname("ais/@#/b/c/d") == (BUCKET, "c/d")
    assert parse_uname(str(Bucket("b", "n").uname("o"))) == (Bucket("b", "n"), "o")
    for text in ("", "ais/@#/b/", "ais/@#/b", "b/o", "ais/@#/b/../o", "ais/@#/..//o"):
        with pytest.raises(InvalidRequestError):
            parse_uname(text)


def test_a_missing_object_is_told_from_a_missing_bucket(store: Store) -> None:
    with pytest.raises(ObjectNotFoundError, match="object ais://b/o does not exist"):
        store.head(BUCKET, "o")
    with pytest.raises(BucketNotFoundError, match="bucket ais://@#space/c does not exist"):
        store.head(Bucket("c", "space"), "o")
