"""AIStore's own client, a class of yours, and a store on this machine:

    instore node &
    AIS_ENDPOINT=http://127.0.0.1:51080 python first_etl.py

The client is `pip install "aistore[etl]"`. The same file runs against a real cluster.
"""

import os

from aistore import Client
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer

client = Client(os.environ["AIS_ENDPOINT"])
texts = client.bucket("texts").create(exist_ok=True)
texts.object("hello.txt").get_writer().put_content(b"hello, store")
shout = client.etl("shout-etl")


@shout.init_class()
class Shout(FastAPIServer):
    def transform(self, data, path, etl_args):
        return data.upper()


print(texts.object("hello.txt").get_reader(etl=ETLConfig("shout-etl")).read_all().decode())
client.job(texts.transform("shout-etl", client.bucket("loud"), ext={"txt": "md"})).wait(verbose=False)
print(client.bucket("loud").object("hello.md").get_reader().read_all().decode())
shout.stop()
shout.delete()
