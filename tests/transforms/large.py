from instore import ETLServer


class Large(ETLServer):
    concurrency = 4

    def transform_stream(self, reader, path, etl_args):
        if etl_args == "reads a part":
            yield reader.read(1 << 20)
        elif etl_args == "reads nothing":
            yield b"nothing"
        elif etl_args == "raises late":
            yield reader.read(4 << 20)
            raise ValueError("the picture ends upside down")
        elif etl_args == "swallows":
            try:
                yield from iter(lambda: reader.read(1 << 16), b"")
            except Exception:
                yield b"all is well"
        else:
            yield from iter(lambda: reader.read(1 << 16), b"")
