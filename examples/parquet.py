"""Convert CSV tables to Parquet, which keeps the columns' types and takes a fraction of the room.

    instore transform examples/parquet.py tables parquet --ext csv:parquet

The first line names the columns; their types are found by looking at all values. A column is of numbers only if these
hold all that its text says: 01067, 0x10, 1e400 and a number of 23 digits stay text. `etl_args` is the delimiter, a
comma if it is left out, and behind it the table's encoding, UTF-8 if it is left out: `;latin-1`. An empty field is a
missing value, except in a column of text.
"""

import codecs
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from instore import ETLServer


class Parquet(ETLServer):
    def transform(self, data: bytes | str, path: str, etl_args: str) -> bytes:
        delimiter, encoding = read_args(etl_args)
        content = as_utf8(Path(data).read_bytes() if isinstance(data, str) else data, encoding)
        found = read(content, delimiter, {})
        check_names(found.column_names)
        text = read(content, delimiter, dict.fromkeys(found.column_names, pa.string()))
        kept = {name: pa.string() for name in found.column_names if not holds(found[name], text[name])}
        result = io.BytesIO()
        pyarrow.parquet.write_table(read(content, delimiter, kept) if kept else found, result, compression="zstd")
        return result.getvalue()

    def get_mime_type(self) -> str:
        return "application/vnd.apache.parquet"


def read_args(etl_args: str) -> tuple[str, str]:
    delimiter, encoding = etl_args[:1] or ",", etl_args[1:].strip() or "utf-8"
    try:
        if delimiter.isascii():
            return delimiter, codecs.lookup(encoding).name
    except LookupError:
        pass
    raise ValueError(
        f"etl_args is {etl_args!r}; give the delimiter as one ASCII character, for example ';', and behind it the "
        "table's encoding if it isn't UTF-8, for example ';latin-1'"
    )


def as_utf8(content: bytes, encoding: str) -> bytes:
    try:
        return content.decode(encoding).encode()
    except UnicodeError as error:
        raise ValueError(
            f"the table is not {encoding} text: {error}; give its encoding behind the delimiter, for example ',latin-1'"
        ) from None


def read(content: bytes, delimiter: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    return pyarrow.csv.read_csv(
        io.BytesIO(content),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict(types), null_values=[""]),
    )


def check_names(names: list[str]) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise ValueError(f"several columns are named {twins[0]!r}; give each a name of its own")


def holds(found: pa.ChunkedArray, text: pa.ChunkedArray) -> bool:
    """Whether the numbers in `found` are all that their text says; of truth values: whether none is a number there."""
    if pa.types.is_boolean(found.type):
        return not pc.any(pc.is_in(text, pa.array(["0", "1"]))).as_py()
    if not pa.types.is_integer(found.type) and not pa.types.is_floating(found.type):
        return True
    lost = pc.match_substring_regex(text, r"^\s*([+]|-?0[0-9xX]|-0$)")  # a sign, or zeros, in front
    if pa.types.is_floating(found.type):  # a double holds 15 digits of an integer, and is written with up to 17
        digits = pc.replace_substring_regex(text, r"[eE].*$|[^0-9]", "")
        fraction = pc.match_substring_regex(text, r"[.eE]")
        limit = pc.if_else(fraction, 17, 15)
        significant = pc.utf8_length(pc.utf8_ltrim(digits, "0"))
        lost = pc.or_(lost, pc.greater(significant, limit))
        lost = pc.or_(lost, pc.and_(pc.is_inf(found), pc.match_substring_regex(text, "[0-9]")))  # too large for it
    return not pc.any(lost).as_py()
