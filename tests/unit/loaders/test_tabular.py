"""Reading tables: every row comes out or is rejected with its place, regardless of what the file holds."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kgp_loaders.table_columns import Row
from kgp_loaders.table_text import MAX_LINE
from kgp_loaders.tabular import open_table
from kgplatform.batches import Reject
from kgplatform.errors import InputError
from tests.campaigns import rounds
from tests.unit.loaders import table_files
from tests.unit.loaders.table_files import COLUMNS, SECRET, Make, parquet_bytes, read_table_rows

table_file_writer = table_files.table_file_writer


def accepted(path: Path) -> list[list[str]]:
    return [list(record[1]) for record in read_table_rows(path) if not isinstance(record, Reject)]


def rejected(path: Path) -> dict[int, str]:
    return {record.row: record.reason for record in read_table_rows(path) if isinstance(record, Reject)}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_byte_order_marks(table_file_writer: Make, end: bytes, bom: bytes, last: bool) -> None:
    table_path = table_file_writer(
        bom + end.join([b"head,relation,tail", b"a,isa,b", "ä,isa,心".encode()]) + (end if last else b"")
    )
    assert read_table_rows(table_path) == [(2, ["a", "isa", "b"]), (3, ["ä", "isa", "心"])]


def test_columns_come_in_the_order_asked_for(table_file_writer: Make) -> None:
    table_path = table_file_writer(b"tail,more,head,relation\nb,x,a,isa\n")
    assert accepted(table_path) == [["a", "isa", "b"]]


def test_tab_separated_by_suffix(table_file_writer: Make) -> None:
    assert accepted(table_file_writer(b'head\trelation\ttail\na,1\tisa\t"b"\n', "t.tsv")) == [["a,1", "isa", "b"]]


def test_quoted_values(table_file_writer: Make) -> None:
    assert accepted(table_file_writer(b'head,relation,tail\n"a, ""x""",isa,""\n')) == [['a, "x"', "isa", ""]]
    assert accepted(table_file_writer(b'head\trelation\ttail\n"a"\tisa\t5" tube\n', "t.tsv")) == [
        ["a", "isa", '5" tube']
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'"a,isa,b', "not closed"),
        (b'"a"x,isa,b', "after its closing quote"),
        (b'a,isa,5" tube', "not quoted"),
        (b"a,isa", "2 values, the header 3"),
        (b"a,isa,b,c", "4 values, the header 3"),
        (b"", "the line is empty"),
        (b"a,isa,\xff", "not valid UTF-8"),
        (b"a,isa,\xed\xa0\x80", "not valid UTF-8"),
        (b"a,isa,b\x00", "control character"),
        (b"a,isa,b\x1b[2J", "control character"),
        (b"a,isa,\xc2\x85", "control character"),
        (b"a,isa," + b"x" * MAX_LINE, "longer than"),
        (b"a,isa," + b"x" * 5 * MAX_LINE, "longer than"),
    ],
)
def test_a_bad_row_costs_only_itself(table_file_writer: Make, line: bytes, reason: str) -> None:
    table_path = table_file_writer(b"head,relation,tail\na,isa,b\n" + line + b"\nc,isa,d\n")
    assert [record[0] for record in read_table_rows(table_path) if not isinstance(record, Reject)] == [2, 4]
    assert list(rejected(table_path)) == [3]
    assert reason in rejected(table_path)[3]


def test_a_quoted_value_may_not_span_lines(table_file_writer: Make) -> None:
    table_path = table_file_writer(b'head,relation,tail\n"a\nb",isa,c\nd,isa,e\n')
    assert list(rejected(table_path)) == [2, 3]
    assert accepted(table_path) == [["d", "isa", "e"]]


def test_blank_lines_at_the_end_are_no_rows(table_file_writer: Make) -> None:
    assert read_table_rows(table_file_writer(b"head,relation,tail\na,isa,b\n\n\n")) == [(2, ["a", "isa", "b"])]
    assert read_table_rows(table_file_writer(b"head,relation,tail\n")) == []


def test_reasons_never_quote_the_row(table_file_writer: Make) -> None:
    secret = SECRET.encode()
    bad_lines = [b'"' + secret + b",isa,b", secret, secret + b",\xff,b", secret + b"\x00,a,b", secret * 10_000]
    table_path = table_file_writer(b"head,relation,tail\n" + b"\n".join(bad_lines))
    assert len(rejected(table_path)) == 5
    assert SECRET not in "".join(rejected(table_path).values())


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "the file is empty"),
        (b"\xef\xbb\xbf", "t.csv", "must name the columns"),
        (b"\n\n", "t.csv", "must name the columns"),
        (b"\x1f\x8b\x08\x00rest", "t.csv", "gzip"),
        (b"PK\x03\x04rest", "t.csv", "zip archive or an Excel"),
        ("head,relation".encode("utf-16"), "t.csv", "UTF-16"),
        ("head,relation\n".encode("utf-16-le"), "t.csv", "UTF-16"),
        (b"\xff\xffhead", "t.csv", "UTF-8"),
        (b"x" * 3 * MAX_LINE, "t.csv", "must name the columns"),
        (b"head,relation,tail\n", "t.parquet", "not Parquet"),
        (b"PAR1" + b"x" * 100, "t.parquet", "damaged Parquet"),
        (b"PAR1", "t.csv", "damaged Parquet"),
        (b"head,tail\na,b\n", "t.csv", "lacks relation"),
        (b"head,relation,tail,head\na,b,c,d\n", "t.csv", "head more than once"),
    ],
)
def test_unusable_files(table_file_writer: Make, content: bytes, name: str, message: str) -> None:
    table_path = table_file_writer(content, name)
    with pytest.raises(InputError, match=message) as refusal:
        read_table_rows(table_path)
    assert refusal.value.path == table_path


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    for wrong_path, message in ((tmp_path / "none.csv", "no such file"), (tmp_path, "a folder, not a file")):
        with pytest.raises(InputError, match=message):
            open_table(wrong_path)


def test_memory_stays_flat_on_a_huge_line(tmp_path: Path) -> None:
    table_path = tmp_path / "t.csv"
    with table_path.open("wb") as table_file:
        table_file.write(b"head,relation,tail\n")
        for _ in range(64):
            table_file.write(b"x" * (1 << 20))
        table_file.write(b"\na,isa,b\n")
    tracemalloc.start()
    records = read_table_rows(table_path)
    peak_memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [isinstance(record, Reject) for record in records] == [True, False]
    assert peak_memory < 8 << 20


def check_account(path: Path, expected: int | None) -> None:
    """Only `InputError` may come out, and each row once, in order, with its file."""
    records: list[Row | Reject] = []
    try:
        records.extend(open_table(path).rows(COLUMNS))
    except InputError as error:
        assert error.path == path
        return
    row_numbers = [record.row if isinstance(record, Reject) else record[0] for record in records]
    if path.suffix == ".parquet":
        assert row_numbers == list(range(1, len(records) + 1))
    else:
        assert row_numbers == list(range(2, len(records) + 2))
    for record in records:
        if isinstance(record, Reject):
            assert record.path == path
            assert record.reason
        else:
            assert len(record[1]) == len(COLUMNS)
            assert not any(
                ord(character) < 32 and character != "\t" for cell_text in record[1] for character in cell_text
            )
    if expected is not None:
        assert len(records) == expected


def lines_in(content: bytes) -> int:
    """Rows of a text file by the rule of the module, counted in another way than there."""
    normal_content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return normal_content.count(b"\n")


def _damaged_contents(content: bytes, seed: int, count: int) -> Iterator[bytes]:
    """`content` with a few bytes changed, removed, doubled or cut off."""
    generator = random.Random(seed)
    delicate_bytes = b"\",\t\n\r\x00\xff\xc3\xef;\\'`"
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(generator.randint(1, 6)):
            position = generator.randrange(len(changed))
            damage_kind = generator.randrange(5)
            if damage_kind == 0:
                changed[position] = generator.randrange(256)
            elif damage_kind == 1:
                changed[position] = generator.choice(delicate_bytes)
            elif damage_kind == 2:
                del changed[position : position + generator.randint(1, 8)]
            elif damage_kind == 3:
                changed[position:position] = changed[position : position + generator.randint(1, 30)]
            else:
                changed[position:position] = bytes([generator.choice(delicate_bytes)])
            changed = changed or bytearray(b"\n")
        if generator.random() < 0.1:
            changed = changed[: generator.randrange(len(changed))]
        yield bytes(changed)


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", b","), ("t.tsv", b"\t")])
def test_damaged_text_files(table_file_writer: Make, name: str, delimiter: bytes) -> None:
    lines = ["head,relation,tail", "C0000001,isa,C0000002", 'I12,POSITIVE,"a, ""b"""', "ä,心,b", "", "x,y,z"]
    good_content = b"\n".join(line.encode().replace(b",", delimiter) for line in lines) + b"\n"
    for content in _damaged_contents(good_content, 11, rounds(500, 10_000)):
        check_account(table_file_writer(content, name), lines_in(content))


@pytest.mark.slow
@pytest.mark.campaign
def test_damaged_parquet_files(table_file_writer: Make) -> None:
    good_content = parquet_bytes()
    for content in _damaged_contents(good_content, 13, rounds(500, 10_000)):
        check_account(table_file_writer(content, "t.parquet"), None)


@hypothesis_settings(max_examples=500)
@given(st.binary(max_size=200), st.sampled_from(["t.csv", "t.tsv", "t.parquet"]))
def test_any_bytes_after_a_header(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    table_path = tmp_path_factory.getbasetemp() / name
    header = {"t.csv": b"head,relation,tail\n", "t.tsv": b"head\trelation\ttail\n", "t.parquet": b"PAR1"}[name]
    table_path.write_bytes(header + content)
    check_account(table_path, None if name == "t.parquet" else lines_in(header + content))


@hypothesis_settings(max_examples=300)
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)] * 3), max_size=8))
def test_what_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    import csv

    table_path = tmp_path_factory.getbasetemp() / "back.csv"
    with table_path.open("w", encoding="utf-8", newline="") as table_file:
        csv.writer(table_file).writerows([COLUMNS, *rows])
    assert accepted(table_path) == [list(record) for record in rows]


@pytest.mark.parametrize("sign", [",", "\t", ";", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_the_header_tells_what_separates_the_columns(tmp_path: Path, sign: str, suffix: str) -> None:
    table_path = tmp_path / f"table{suffix}"
    table_path.write_text(f"head{sign}relation{sign}tail\na{sign}isa{sign}b\n", encoding="utf-8")
    assert list(open_table(table_path).rows(["head", "tail"])) == [(2, ["a", "b"])]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("decimal.csv", "id;value\nx;1,5\n", [["x", "1,5"]]),  # a decimal comma
        ("named.csv", "id,dose (mg; daily)\nx,1;5\n", [["x", "1;5"]]),
        ("more.csv", "id;name (or label, synonym, term)\nx;a, b\n", [["x", "a, b"]]),
        ("quoted.csv", '"id";"name; or label"\nx;"a;b"\n', [["x", "a;b"]]),
        ("tabs.tsv", "id\ta, b, c, d\nx\t1\n", [["x", "1"]]),
        ("single.csv", "id\nx;y\n", [["x;y"]]),
    ],
)
def test_other_signs_in_names_and_values_do_not_separate(
    tmp_path: Path, name: str, content: str, rows: list[list[str]]
) -> None:
    table_path = tmp_path / name
    table_path.write_text(content, encoding="utf-8")
    table = open_table(table_path)
    assert [list(record[1]) for record in table.rows(table.columns) if not isinstance(record, Reject)] == rows


@pytest.mark.parametrize("sign", [";", "|", "\t", "^"])
@pytest.mark.parametrize("first", ["sep={}", '"sep={}"', "\ufeffSEP={}", "sep={};;"])
def test_excels_separator_line_applies_to_any_table(tmp_path: Path, first: str, sign: str) -> None:
    table_path = tmp_path / "t.csv"
    table_lines = [first.format(sign), f"id{sign}name, and more", f"1{sign}a, b", "2"]
    table_path.write_text("\r\n".join(table_lines), encoding="utf-8")
    table = open_table(table_path)
    assert table.columns == ("id", "name, and more")
    good_row, reject = table.rows(["id", "name, and more"])
    assert good_row == (3, ["1", "a, b"])
    assert isinstance(reject, Reject)
    assert reject.row == 4
    table_path.write_text(first.format(sign), encoding="utf-8")
    with pytest.raises(InputError):
        open_table(table_path).rows(["id"])


def test_a_stray_quote_between_semicolons_costs_its_row_alone(tmp_path: Path) -> None:
    table_path = tmp_path / "t.csv"
    table_path.write_text('id;name\n1;a "b" c\n2;"d;e"\n', encoding="utf-8")
    first_row, second_row = open_table(table_path).rows(["id", "name"])
    assert isinstance(first_row, Reject)
    assert second_row == (3, ["2", "d;e"])
