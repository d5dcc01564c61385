"""Convert CSV tables to Parquet, which keeps the columns' types and takes a fraction of the room.

    instore transform examples/parquet.py tables parquet --ext csv:parquet

The first line names the columns; their types are found by looking at all values. `etl_args` is the delimiter, a
comma if it is left out. An empty field is a missing value, except in a column of text.
"""

import io

import pyarrow.csv
import pyarrow.parquet

from instore import ETLServer


class Parquet(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        delimiter = etl_args or ","
        if len(delimiter) != 1 or not delimiter.isascii():
            raise ValueError(f"etl_args is {etl_args!r}; give the delimiter as one ASCII character, for example ';'")
        table = pyarrow.csv.read_csv(
            data if isinstance(data, str) else io.BytesIO(data),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        )
        result = io.BytesIO()
        pyarrow.parquet.write_table(table, result, compression="zstd")
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "application/vnd.apache.parquet"
