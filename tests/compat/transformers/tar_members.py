"""A tar of many members, made from a manifest line by line and never held as a whole."""

import io
import json
import tarfile

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class TarMembers(FastAPIServer):
    def transform_stream(self, reader, path, etl_args):
        repeat = int(etl_args or 1)
        for line in reader.read().splitlines():
            entry = json.loads(line)
            content = entry["content"].encode() * repeat
            member = tarfile.TarInfo(entry["name"])
            member.size = len(content)
            yield member.tobuf()
            yield content
            yield b"\0" * (-len(content) % tarfile.BLOCKSIZE)
        end = io.BytesIO(b"\0" * (2 * tarfile.BLOCKSIZE))
        while piece := end.read(tarfile.BLOCKSIZE):
            yield piece

    def get_mime_type(self):
        return "application/x-tar"
