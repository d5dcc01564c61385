"""The cluster as the official SDK sees it, and what it does not get."""

import io
import tarfile

import pytest
import requests
from aistore import Client
from aistore.sdk.archive_config import ArchiveConfig
from aistore.sdk.blob_download_config import BlobDownloadConfig
from aistore.sdk.bucket import Bucket
from aistore.sdk.enums import LogSeverity
from aistore.sdk.errors import AISError

from tests.support.node import RunningNode


def test_the_map_has_a_proxy_and_the_targets_each_with_its_own_port(node: RunningNode, client: Client) -> None:
    smap = client.cluster().get_info()
    assert smap.proxy_si.public_net is not None
    assert smap.proxy_si.public_net.direct_url == node.endpoint == client.cluster().get_primary_url()
    assert list(smap.tmap) == [path.name for path in sorted(node.folder.glob("t*"))]
    urls = {target.public_net.direct_url for target in smap.tmap.values() if target.public_net}
    assert len(urls) == len(smap.tmap)
    assert client.cluster().get_uuid()
    assert client.cluster().is_ready()
    for url in urls:
        assert Client(url).cluster().get_info() == smap
        (own,) = [
            name for name, target in smap.tmap.items() if target.public_net and target.public_net.direct_url == url
        ]
        assert requests.get(f"{url}/v1/daemon?what=snode").json()["daemon_id"] == own
    named = Client(node.endpoint.replace("127.0.0.1", "localhost")).cluster().get_info()
    assert [target.public_net.node_hostname for target in named.tmap.values() if target.public_net] == [
        "localhost"
    ] * len(urls)


def test_each_target_tells_how_it_does(client: Client) -> None:
    performance = client.cluster().get_performance()
    assert set(performance) == set(client.cluster().get_info().tmap)
    for status in performance.values():
        assert status["ais_version"].startswith("5.")
        assert int(status["capacity"]["total_avail"]) > 0
        assert 0 < status["sys_info"]["mem_used"] < status["sys_info"]["mem"]["Total"]


def test_the_log_is_told_and_comes_as_an_archive(client: Client) -> None:
    cluster = client.cluster()
    assert "the node starts with" in cluster.get_node_log("t1")
    assert cluster.get_node_log("t1", LogSeverity.ERROR) == ""
    assert set(cluster.get_cluster_logs()) == set(cluster.get_info().tmap)
    with tarfile.open(fileobj=io.BytesIO(cluster.get_node_log_archive("t1"))) as archive:
        assert archive.getnames() == ["instore.log"]


def test_group_of_objects_can_be_looked_at(bucket: Bucket) -> None:
    for number in range(3):
        bucket.object(f"o{number}").get_writer().put_content(b"x" * number)
    group = bucket.objects(obj_template="o{0..2}")
    assert [thing.props_cached.size for thing in group.list_all_objects_iter() if thing.props_cached] == [0, 1, 2]
    assert len(list(group.list_urls())) == 3


@pytest.mark.parametrize(
    "use",
    [
        lambda client, bucket: bucket.create_inventory(),
        lambda client, bucket: bucket.destroy_inventory("x"),
        lambda client, bucket: bucket.show_inventory(),
        lambda client, bucket: bucket.list_archive("a.tar"),
        lambda client, bucket: bucket.objects(obj_names=["a"]).archive("b.tar"),
        lambda client, bucket: bucket.object("a").get_reader(archive_config=ArchiveConfig(archpath="x")).read_all(),
        lambda client, bucket: bucket.object("a").get_reader(blob_download_config=BlobDownloadConfig()).read_all(),
        lambda client, bucket: bucket.object("a").blob_download(),
        lambda client, bucket: bucket.object("a").promote("/etc/hostname"),
        lambda client, bucket: client.job(job_kind="mirror").start(),
        lambda client, bucket: client.batch(["a"], bucket=bucket).get(),
        lambda client, bucket: client.dsort("x").get_job_info(),
        lambda client, bucket: client.bucket("x", provider="gcp").object("y").get_reader().read_all(),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_with_a_sentence(client: Client, bucket: Bucket, use: object) -> None:
    with pytest.raises(AISError) as refused:
        use(client, bucket)  # type: ignore[operator]
    assert refused.value.status_code == 501
    assert "not supported" in refused.value.message or "can't" in refused.value.message
