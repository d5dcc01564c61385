from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from instore.offline.folder_source import FolderOrder, Item, ItemState
from instore.protocol.requests import object_target, parse_request

NAMES = st.text(st.characters(codec=None, exclude_categories=(), exclude_characters="\0"), min_size=1).map(
    lambda name: name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
)


@given(NAMES, NAMES, st.text())
def test_what_is_asked_for_is_what_the_server_understands(name: str, path: str, etl_args: str) -> None:
    request = FolderOrder("bucket", etl_args, 1, False).ask(Item(name, ItemState.TODO, path="/" + path))
    target = object_target(request.path, request.fqn, request.etl_args)
    assert target.isascii()
    parts = urlsplit(target)
    asked = parse_request("PUT", parts.path, parts.query, ())
    assert (asked.path, asked.fqn, asked.etl_args) == (f"bucket/{name}", "/" + path, etl_args.strip())
