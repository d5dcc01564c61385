import time

from instore import ETLServer


class SleepingStream(ETLServer):
    def transform_stream(self, reader, path, etl_args):
        data = reader.read()
        if etl_args.startswith("begin"):
            yield b"x" * (2 << 20)
        if "sleep" in etl_args:
            time.sleep(float(etl_args.split()[-1]))
        yield data
