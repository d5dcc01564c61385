"""A tour of what AIStore's own SDK does with a store, from the first bucket to the last ETL.

It imports nothing but the SDK, and checks what it gets at each step:

    AIS_ENDPOINT=http://127.0.0.1:51080 python tour.py [--strict]

With `--strict` it expects AIStore's own answer where that is a refusal.
"""

import hashlib
import os
import sys

from aistore import Client
from aistore.sdk.errors import AISError, ErrETLAlreadyExists, ErrETLNotFound
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer
from aistore.sdk.etl.webserver.flask_server import FlaskServer
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

NAMES = [f"day/{number:02}.txt" for number in range(12)]

client = Client(os.environ["AIS_ENDPOINT"])


def read(bucket, name, etl=None, args=None):
    config = ETLConfig(etl, args) if etl else None
    return bucket.object(name).get_reader(etl=config).read_all()


def wait(job_id, kind=""):
    job = client.job(job_id, kind)
    return job, job.wait(timeout=60, verbose=False)


def names(bucket):
    return sorted(entry.name for entry in bucket.list_all_objects())


# Buckets and objects

texts = client.bucket("texts").create()
for name in NAMES:
    texts.object(name).get_writer().put_content(f"this is {name}".encode())
assert names(texts) == NAMES
assert read(texts, NAMES[0]) == b"this is day/00.txt"

# Three servers, three ways to talk to them; each class is shipped from here

shout, mirror, frame = client.etl("shout-etl"), client.etl("mirror-etl"), client.etl("frame-etl")


@shout.init_class(comm_type="hpush")
class Shout(FastAPIServer):
    def transform(self, data, path, etl_args):
        return data.upper() + etl_args.encode()


@mirror.init_class(comm_type="hpull")
class Mirror(FlaskServer):
    def transform(self, data, path, etl_args):
        return data[::-1]


@frame.init_class(comm_type="ws", FRAME="[]")
class Frame(FastAPIServer):
    def __init__(self):
        super().__init__()
        self.frame = os.environ["FRAME"].encode()

    def transform(self, data, path, etl_args):
        return self.frame[:1] + data + self.frame[1:]


picky = client.etl("picky-etl")


@picky.init_class(obj_timeout="20s")
class Picky(HTTPMultiThreadedServer):
    def transform(self, data, path, etl_args):
        print("looking at", path)
        if path.endswith("7.txt"):
            raise ValueError("there is a seven in its name")
        return hashlib.sha256(data).hexdigest().encode()


assert {info.id for info in client.cluster().list_etls()} == {"shout-etl", "mirror-etl", "frame-etl", "picky-etl"}

# A name is taken once

try:
    shout.init_class()(Shout)
except ErrETLAlreadyExists:
    pass
else:
    raise AssertionError("a second ETL of the same name was made")

# Inline reads, with arguments, and through pipelines of all three kinds

assert read(texts, "day/03.txt", "shout-etl") == b"THIS IS DAY/03.TXT"
assert read(texts, "day/03.txt", "mirror-etl") == b"txt.30/yad si siht"
assert read(texts, "day/03.txt", "frame-etl") == b"[this is day/03.txt]"
assert (
    read(texts, "day/03.txt", shout, {"and": "ümläut & +,{}"})
    == 'THIS IS DAY/03.TXT{"and":"\\u00fcml\\u00e4ut & +,{}"}'.encode()
)
assert read(texts, "day/03.txt", shout >> mirror >> frame) == b"[TXT.30/YAD SI SIHT]"
assert read(texts, "day/03.txt", frame >> mirror >> shout) == b"]TXT.30/YAD SI SIHT["
try:
    assert read(texts, "day/03.txt", mirror >> frame >> shout) == b"[TXT.30/YAD SI SIHT]"
except AISError as error:
    assert "--strict" in sys.argv, error
    assert "inline transform pipeline not supported for hpull" in error.message
else:
    assert "--strict" not in sys.argv

# One object into another

texts.object("day/03.txt").copy(client.bucket("texts").object("copied"), etl=ETLConfig(shout >> frame))
assert read(texts, "copied") == b"[THIS IS DAY/03.TXT]"
texts.object("copied").delete()

# A whole bucket, with new names; through one ETL of each kind, and through all of them

for etl, result in [
    ("shout-etl", b"THIS IS DAY/03.TXT"),
    ("mirror-etl", b"txt.30/yad si siht"),
    ("frame-etl", b"[this is day/03.txt]"),
]:
    into = client.bucket(f"into-{etl}")
    job, waited = wait(texts.transform(etl, into, prepend="new/", ext={"txt": "md"}))
    assert waited.success, waited.error
    assert names(into) == [f"new/{name}".replace(".txt", ".md") for name in NAMES]
    assert read(into, "new/day/03.md") == result
    assert sum(snap.stats.objects + snap.stats.out_objects for snap in job.get_details().list_snapshots()) == len(NAMES)
    assert sum(snap.stats.bytes + snap.stats.out_bytes for snap in job.get_details().list_snapshots()) == len(
        NAMES
    ) * len(result)

piped = client.bucket("piped")
_, waited = wait(
    texts.transform("frame-etl", piped, prefix_filter="day/0", etl_pipeline=["shout-etl", "mirror-etl"], num_workers=2)
)
assert waited.success, waited.error
assert names(piped) == NAMES[:10]
assert read(piped, "day/03.txt") == b"]TXT.30/YAD SI SIHT["

# Groups of objects: a list, a template

some = client.bucket("some").create()
wait(texts.objects(obj_names=NAMES[:2]).transform(some, "shout-etl", prepend="list/"), "etl-listrange")
wait(texts.objects(obj_template="day/{04..06}.txt").transform(some, "mirror-etl", ext={"txt": "rev"}), "etl-listrange")
assert names(some) == ["day/04.rev", "day/05.rev", "day/06.rev", "list/day/00.txt", "list/day/01.txt"]

# What fails, says so: a read, a job that stops, a job that goes on

try:
    read(texts, "day/07.txt", "picky-etl")
except AISError as error:
    assert "there is a seven in its name" in error.message
else:
    raise AssertionError("a failed transform gave an object")

_, waited = wait(texts.transform("picky-etl", client.bucket("stopped")))
assert not waited.success
assert "there is a seven" in waited.error

sums = client.bucket("sums")
job, waited = wait(texts.transform("picky-etl", sums, cont_on_err=True))
assert names(sums) == [name for name in NAMES if name != "day/07.txt"]
(error,) = picky.view(job.job_id).obj_errors
assert error.obj_name.endswith("day/07.txt")
assert "there is a seven" in error.msg

# Inspection: nothing is kept but the errors

before = names(texts)
job, _ = wait(texts.inspect("picky-etl"))
assert [error.obj_name for error in picky.view(job.job_id).obj_errors] == ["ais://texts/day/07.txt"]
job, _ = wait(texts.objects(obj_template="day/{06..08}.txt").inspect("picky-etl"), "etl-listrange")
assert [error.obj_name for error in picky.view(job.job_id).obj_errors] == ["ais://texts/day/07.txt"]
assert names(texts) == before

# Logs

assert any("looking at" in log.logs for log in picky.logs())
assert len(picky.logs(picky.logs()[0].target_id)) == 1

# Stop, start, delete

shout.stop()
assert {info.id: info.stage for info in client.cluster().list_etls(["Aborted"])} == {"shout-etl": "Aborted"}
try:
    read(texts, "day/03.txt", "shout-etl")
except AISError as error:
    assert "is Aborted: it was stopped" in error.message
else:
    raise AssertionError("a stopped ETL gave an object")
shout.start()
assert read(texts, "day/03.txt", "shout-etl") == b"THIS IS DAY/03.TXT"
for etl in (shout, mirror, frame, picky):
    etl.stop()
    etl.delete()
assert client.cluster().list_etls(["Running", "Aborted", "Initializing"]) == []
try:
    shout.view()
except ErrETLNotFound:
    pass
else:
    raise AssertionError("a deleted ETL can be viewed")
print("done")
