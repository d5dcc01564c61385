import json
import time

from instore import ETLServer


class Buffered(ETLServer):
    def transform(self, data, path, etl_args):
        match etl_args:
            case "empty":
                return b""
            case "raise":
                raise ValueError("the picture is upside down")
            case "leak":
                raise ValueError("could not reach " + self.host_target)
            case "text":
                return "not bytes"
            case "tell":
                return json.dumps({"path": path, "data": data.decode("latin-1")}).encode()
            case "args":
                return etl_args.encode()
        if etl_args.startswith("{"):
            return etl_args.encode()
        if etl_args.startswith("sleep"):
            time.sleep(float(etl_args.split()[1]))
        return b"<" + data.upper() + b">"

    def get_mime_type(self):
        return "text/x-loud"
