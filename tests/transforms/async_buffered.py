import asyncio

from instore import ETLServer


class AsyncBuffered(ETLServer):
    async def transform(self, data, path, etl_args):
        await asyncio.sleep(0)
        if etl_args == "empty":
            return b""
        if etl_args == "raise":
            raise ValueError("the picture is upside down")
        return b"<" + data.upper() + b">"

    def get_mime_type(self):
        return "text/x-loud"
