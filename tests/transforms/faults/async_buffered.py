class AsyncBuffered(ETLServer):
    async def transform(self, data, path, etl_args):
        mode, _, argument = etl_args.partition(":")
        return made_of(data, mode, argument)
