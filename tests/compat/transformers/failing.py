"""Fails in the ways that users' code does."""

from aistore.sdk.errors import ETLDirectPutTransientError, InvalidPipelineError
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class Failing(FastAPIServer):
    def transform(self, data, path, etl_args):
        match etl_args:
            case "key":
                return {}["no such key"]
            case "file":
                raise FileNotFoundError(2, "No such file", "/models/weights.bin")
            case "pipeline":
                raise InvalidPipelineError("the next stage makes no sense")
            case "transient":
                raise ETLDirectPutTransientError("http://next:8000", ConnectionError("lost"))
            case "bail":
                raise ETLDirectPutTransientError("http://next:8000", ConnectionError("lost"), True)
        raise ValueError(f"{path} can't be read")
