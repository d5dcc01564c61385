from instore import ETLServer


class StreamedEcho(ETLServer):
    concurrency = 4

    def transform_stream(self, reader, path, etl_args):
        while piece := reader.read(1 << 18):
            yield piece
