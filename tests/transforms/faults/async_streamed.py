class AsyncStreamed(ETLServer):
    async def transform_stream(self, reader, path, etl_args):
        pieces = Pieces(etl_args)
        yield pieces.start()
        try:
            while data := await reader.read(300_000):
                yield pieces.next(data)
        except Exception:
            if pieces.mode != "swallows":
                raise
        yield pieces.end()
