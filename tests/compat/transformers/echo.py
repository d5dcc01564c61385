from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class Echo(FastAPIServer):
    def transform(self, data, *_args):
        return data
