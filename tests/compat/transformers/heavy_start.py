"""Much work in the constructor, set both before and after the base's, and no more than once a process."""

from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer


class HeavyStart(FastAPIServer):
    made = 0

    def __init__(self, *args, **kwargs):
        self.primes = [n for n in range(2, 5000) if all(n % d for d in range(2, int(n**0.5) + 1))]
        super().__init__(*args, **kwargs)
        HeavyStart.made += 1
        self.target_is_set = bool(self.host_target)
        self.modes = (self.direct_put, self.direct_fqn, self.use_streaming, self.token, self.direct_put_retries)

    def transform(self, data, path, etl_args):
        kept = bytes(byte for byte in data if byte in set(self.primes))
        state = (self.made, len(self.primes), self.target_is_set, self.modes, self.host, self.logger.name)
        return repr(state).encode() + kept
