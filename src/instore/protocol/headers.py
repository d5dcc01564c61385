"""Header, query and path names of the protocol (docs/protocol.md), each spelled once."""

NODE_URL = "Ais-Node-Url"
"""Request: comma-separated URLs of where the result goes next."""

DIRECT_PUT_LENGTH = "Ais-Direct-Put-Length"
"""Answer 204: how many bytes were delivered; left out when it would be 0."""

RETRY_REASON = "Ais-Etl-Retry-Reason"
"""Answer 503: why the target should replay the object."""

RETRY_DIRECT_PUT_TRANSIENT = "direct-put-transient"
"""The only value of `RETRY_REASON`."""

QUERY_FQN = "etl_fqn"
QUERY_ARGS = "etl_args"
QUERY_ORIGINAL_URL = "original_url"
QUERY_OBJECT_TO = "object_to"

HEALTH_PATH = "/health"
READY_PATH = "/ready"
METRICS_PATH = "/metrics"
ARGUMENTS_PATH = "/arguments"
DOWNLOAD_PATH = "/download"
GROUP_PATH = "/group"
WEBSOCKET_PATH = "/ws"
HEALTH_BODY = b"Running"

DEFAULT_MIME_TYPE = "application/octet-stream"

REQUEST_ID = "X-Request-Id"
"""Request: what its sender calls it; the next hop is told."""

CONCURRENCY = "Instore-Concurrency"
"""Answer to `/health`: how many transforms this process runs at once (ours, not AIStore's)."""

GROUPS = "Instore-Groups"
"""Answer to `/health`: small objects may be asked for in groups (ours, not AIStore's)."""

RESULTS = "Instore-Results"
"""Request: the answer may be several results, or one with a name or metadata (`RESULTS_TYPE`; ours, not AIStore's)."""

SKIPPED_OBJECT = "Instore-Skipped"
"""Answer 422: the transform has skipped the object (ours, not AIStore's)."""

RESULTS_TYPE = "application/vnd.instore.results"
"""Content type of results in frames (docs/protocol.md#results-in-frames)."""

OBJECT_INFO = "Instore-Object"
"""Request: what a job knows of the object, as JSON: `content_type`, `etag`, `metadata`, `size`, `seconds` (ours)."""

CUSTOM_METADATA = "Ais-Custom-Md"
"""A target's answer to a GET: the object's custom properties, `key=value` with commas between."""
