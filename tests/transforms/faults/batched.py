class Batched(ETLServer):
    def transform_batch(self, objects, paths, etl_args):
        mode, _, argument = etl_args.partition(":")
        return [made_of(data, mode, argument) for data in objects]
