"""Picks and renames the keys of JSON lines; the options hold every character that a query can spoil."""

import json

from aistore.sdk.errors import InvalidPipelineError
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
from aistore.sdk.etl.webserver.utils import parse_etl_pipeline


class JSONOptions(FastAPIServer):
    def transform(self, data, path, etl_args):
        options = json.loads(etl_args or '{"keep": {}}')
        try:
            parse_etl_pipeline("http://a,,http://b")
        except InvalidPipelineError as error:
            note = type(error).__name__
        lines = []
        for line in data.splitlines():
            record = json.loads(line)
            kept = {new: record[old] for new, old in options["keep"].items() if old in record}
            lines.append(json.dumps({**kept, "note": note}, ensure_ascii=False))
        return "\n".join(lines).encode()

    def get_mime_type(self):
        return "application/json"
