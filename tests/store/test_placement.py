from collections import Counter

from aistore.sdk.types import NetInfo, Smap, Snode

from instore.store.placement import digest, owner

TARGETS = ["t1", "t2", "t3", "t4", "t5"]


def test_the_client_of_aistore_reckons_the_same() -> None:
    nodes = {
        name: Snode(daemon_id=name, daemon_type="target", public_net=NetInfo(), id_digest=digest(name))
        for name in TARGETS
    }
    smap = Smap(tmap=nodes, pmap={}, proxy_si=nodes["t1"])
    digests = [digest(name) for name in TARGETS]
    for number in range(500):
        uname = f"ais/@#/bucket/objét/{number}"
        assert TARGETS[owner(digests, uname)] == smap.get_target_for_object(uname).daemon_id


def test_objects_are_spread_evenly() -> None:
    digests = [digest(name) for name in TARGETS]
    counts = Counter(owner(digests, f"ais/@#/b/{number}") for number in range(5000))
    assert all(800 < counts[index] < 1200 for index in range(5))


def test_where_an_object_lies_never_changes() -> None:
    digests = [digest(f"t{number}") for number in range(1, 4)]
    assert [owner(digests, f"ais/@#/b/{number}") for number in range(12)] == [1, 1, 2, 1, 0, 2, 1, 0, 1, 0, 2, 1]
