from instore import ETLServer


class Warm(ETLServer):
    def warm_up(self):
        self.state = b"warm"

    def transform(self, data, path, etl_args):
        return self.state
