from instore import ETLServer


class Streamed(ETLServer):
    def transform_stream(self, reader, path, etl_args):
        if etl_args == "empty":
            return
        if etl_args == "raise":
            raise ValueError("the picture is upside down")
        yield b"<"
        while chunk := reader.read(1 << 16):
            yield chunk.upper()
        if etl_args == "raise late":
            raise ValueError("the picture ends upside down")
        yield b">"

    def get_mime_type(self):
        return "text/x-loud"
