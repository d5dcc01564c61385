import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.examples.support import airports, gather, load, run_command


def parquet(data: bytes | str, delimiter: str = "") -> pa.Table:
    result = load("parquet.py").transform(data, "tables/table.csv", delimiter)
    return pq.read_table(pa.BufferReader(result))


def test_parquet_holds_what_the_csv_holds_in_fewer_bytes(tmp_path: Path) -> None:
    tables = gather(tmp_path / "tables", airports())
    run_command("parquet.py", tables, tmp_path / "parquet", "--ext", "csv:parquet")
    result = tmp_path / "parquet" / "airports.parquet"
    with airports().open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    table = pq.read_table(result)
    assert table.column_names == header
    assert table.num_rows == len(rows) > 20_000
    for position, column in enumerate(table.columns):
        kind = float if pa.types.is_floating(column.type) else int if pa.types.is_integer(column.type) else str
        assert column.to_pylist() == [kind(row[position]) for row in rows]
    assert result.stat().st_size < airports().stat().st_size / 2


def test_columns_get_the_types_of_their_values() -> None:
    schema = parquet(airports().read_bytes()).schema
    assert [schema.field(name).type for name in ("name", "country", "lat")] == [pa.string(), pa.string(), pa.float64()]


def test_path_of_a_file_gives_the_same_as_its_bytes() -> None:
    assert parquet(str(airports())).equals(parquet(airports().read_bytes()))


def test_other_delimiter_is_taken_from_the_arguments() -> None:
    assert parquet(b"a;b\n1;x\n2;y\n", ";").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_empty_field_is_missing_but_for_text() -> None:
    assert parquet(b"a,b\n1,x\n,\n").to_pydict() == {"a": [1, None], "b": ["x", ""]}


def test_field_with_a_newline_in_quotes_stays_one_field() -> None:
    assert parquet(b'a,b\n1,"two\nlines"\n').to_pydict() == {"a": [1], "b": ["two\nlines"]}


@pytest.mark.parametrize("delimiter", ["tab", "§", ";no-such-encoding"])
def test_bad_delimiter_is_refused_with_an_example(delimiter: str) -> None:
    with pytest.raises(ValueError, match=rf"^etl_args is '{delimiter}'; give the delimiter .* for example ';latin-1'$"):
        parquet(b"a\n1\n", delimiter)


def test_broken_table_is_refused_with_the_line_that_breaks_it() -> None:
    with pytest.raises(ValueError, match="Expected 2 columns, got 3: 1,2,3"):
        parquet(b"a,b\n1,2,3\n")


@pytest.mark.parametrize(
    "text",
    [
        "01067",  # a postal code
        "-007",
        "00.5",
        "12345678901234567890123",  # of 23 digits
        "9007199254740993.0000000000",  # a double has no such number
        "NA",  # Namibia
        "+4930123456",
        "-0",
        "0x10",
        "1e400",  # a double would be infinite
    ],
)
def test_a_column_whose_numbers_would_lose_something_stays_text(text: str) -> None:
    assert parquet(f"a,b\n{text},1\n17,2\n".encode()).to_pydict() == {"a": [text, "17"], "b": [1, 2]}


def test_truth_values_that_are_numbers_in_a_row_stay_text() -> None:
    assert parquet(b"a,b\ntrue,true\n1,FALSE\n").to_pydict() == {"a": ["true", "1"], "b": [True, False]}


def test_a_long_number_stays_text_beside_fractions() -> None:
    assert parquet(b"a\n1234567890123456\n0.5\n").to_pydict() == {"a": ["1234567890123456", "0.5"]}


def test_numbers_that_lose_nothing_are_numbers() -> None:
    table = parquet(b"a,b\n0,-0.5\n9223372036854775807,1e300\n-12,0.30000000000000004\n")
    assert table.to_pydict() == {"a": [0, 9223372036854775807, -12], "b": [-0.5, 1e300, 0.30000000000000004]}


def test_another_encoding_is_taken_from_the_arguments() -> None:
    latin = "größe;name\n1;Åse\n".encode("latin-1")
    assert parquet(latin, ";latin-1").to_pydict() == {"größe": [1], "name": ["Åse"]}


def test_a_table_that_is_not_utf_8_is_refused() -> None:
    for latin in ("größe\n1\n".encode("latin-1"), "name\nÅse\n".encode("latin-1")):
        with pytest.raises(ValueError, match=r"^the table is not utf-8 text: .* for example ',latin-1'$"):
            parquet(latin)


def test_twin_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^several columns are named 'a'; give each a name of its own$"):
        parquet(b"a,b,a\n1,2,3\n")
