import asyncio

from instore import ETLServer


class AsyncBatched(ETLServer):
    max_batch_size = 4
    batch_timeout = 0.3

    async def transform_batch(self, objects, paths, etl_args):
        await asyncio.sleep(0.01)
        return [b"%d:%s" % (len(objects), data) for data in objects]
