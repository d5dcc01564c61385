from instore import ETLServer


class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        if b"bad" in data:
            raise ValueError("it is bad")
        return data.upper()
