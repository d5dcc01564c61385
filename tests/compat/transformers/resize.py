import io
import json

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
from PIL import Image


class Resize(FastAPIServer):
    def transform(self, data, path, etl_args):
        options = json.loads(etl_args) if etl_args else {}
        image = Image.open(io.BytesIO(data))
        resized = image.resize((options.get("width", 8), options.get("height", 8)))
        out = io.BytesIO()
        resized.save(out, format="PNG")
        return out.getvalue()

    def get_mime_type(self):
        return "image/png"
