import io
import subprocess
import tarfile
import zipfile

from instore import ETLServer

USES = {
    "seek": lambda reader: reader.seek(0),
    "tell": lambda reader: reader.tell(),
    "fileno": lambda reader: reader.fileno(),
    "zip": lambda reader: zipfile.ZipFile(reader).namelist(),
    "tar": lambda reader: tarfile.open(fileobj=reader),
    "stdin": lambda reader: subprocess.run(["cat"], stdin=reader, capture_output=True).stdout,
    "text": lambda reader: str(reader.seekable()).encode() + io.TextIOWrapper(reader, "latin-1").read(6).encode(),
    "lines": lambda reader: b"|".join([reader.readline(), *reader]),
    "tar stream": lambda reader: b" ".join(member.name.encode() for member in tarfile.open(fileobj=reader, mode="r|*")),
    "zip copy": lambda reader: " ".join(zipfile.ZipFile(io.BytesIO(reader.read())).namelist()).encode(),
}


class Uses(ETLServer):
    def transform_stream(self, reader, path, etl_args):
        yield USES[etl_args](reader)
