"""The `requests` session that a transform may use. The server itself has a client of its own."""

from typing import TYPE_CHECKING

from instore.errors import ConfigurationError
from instore.protocol.environment import Environment

if TYPE_CHECKING:
    import requests

_RETRIES = 3
_REPEATABLE = frozenset({"GET", "HEAD"})  # a body is never sent twice: it may be a generator, which is empty by then


def make_session(environment: Environment) -> "requests.Session":
    """A session with the token and the certificates of `environment`."""
    try:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry
    except ImportError as error:
        raise ConfigurationError(
            "self.session and client_put() need the package requests; install it: pip install requests"
        ) from error
    session = requests.Session()
    session.verify = False if environment.skip_verify else environment.client_ca or True
    if environment.crt and environment.crt_key:
        session.cert = (environment.crt, environment.crt_key)
    if environment.authn_token:
        session.headers["Authorization"] = f"Bearer {environment.authn_token}"
    retry = Retry(total=_RETRIES, backoff_factor=0.5, allowed_methods=_REPEATABLE, raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session
