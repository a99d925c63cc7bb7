"""Tables as text: how they are split into rows, and that no row ever gets another row's cells."""

import csv
import io
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from impasto.tabular import LONGEST, Key, Table, read_delimited

HEADER = ["file", "title", "notes", "style"]


def is_picture(cell: str) -> bool:
    return cell.lower().endswith(".jpg")


KEY = Key(("file", "filename", "id"), is_picture, is_picture, "file,style")


def read(text: str) -> Table:
    return read_delimited(text, "t.csv", KEY)


def rows(table: Table) -> list[list[str]]:
    return [list(row.cells.values()) for row in table.rows]


def faults(table: Table) -> list[str]:
    return [row.why.partition(";")[0] for row in table.unreadable]


# --- What is written is what is read ---------------------------------------------------------------


def by_the_book(row: list[str], mark: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator="\n").writerow(row)
    return text.getvalue().removesuffix("\n")


def all_quoted(row: list[str], mark: str) -> str:
    return mark.join('"' + cell.replace('"', '""') + '"' for cell in row)


def backslashed(row: list[str], mark: str) -> str:
    """As MySQL, Spark and PHP write them."""
    return mark.join('"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"' for cell in row)


def heedless(row: list[str], mark: str) -> str:
    """As tab-separated tables and those by hand are written: quotation marks are text."""
    return mark.join(cell.replace(mark, " ").replace("\n", " ") for cell in row)


def wrapped(row: list[str], mark: str) -> str:
    """Quotation marks around each cell, whatever is in it (but what looks like an end of it)."""
    row = [re.sub(r"[\n\\]", "", cell) for cell in row]
    row = [re.sub(r'"["\s]*(?=[,;]|$)', "", cell) for cell in row]
    return mark.join(f'"{cell}"' for cell in row)


WRITERS = [by_the_book, all_quoted, backslashed, heedless, wrapped]


def bare(cell: str) -> str:
    """What is left of a cell where quotation marks, backslashes and blanks do not count."""
    return re.sub(r'["\\\s]', "", cell)


def file_of(number: int) -> str:
    return f"{number}.jpg"


CELL = st.text(st.sampled_from('x"",;\n\\ '), max_size=7)
CELLS = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=6)


def named(cells: list[tuple[str, str, str]]) -> list[list[str]]:
    """Rows of files, each with a letter of its own in its cells."""
    return [
        [file_of(n), *(cell.replace("x", chr(ord("a") + n)) for cell in row)]
        for n, row in enumerate(cells)
    ]


def plain(cell: str) -> str:
    """Without what may be told apart from rows of no file, or from backslashed quotation marks."""
    return re.sub(r"\n[\s,;\"]+", "\nx", cell.replace("\\", "/"))


@given(cells=CELLS, mark=st.sampled_from(",;\t"), writer=st.sampled_from([by_the_book, all_quoted]))
@settings(max_examples=150)
@example([('"', '",', "x"), ("x", 'x"', "\nx,x\n"), ("", "\n", ",,")], ",", by_the_book)
def test_a_table_by_the_book_is_read_whole(
    cells: list[tuple[str, str, str]], mark: str, writer: Callable[[list[str], str], str]
) -> None:
    written = [list(map(plain, row)) for row in named(cells)]
    table = read("\n".join(writer(row, mark) for row in [HEADER, *written]))
    assert not table.unreadable
    assert rows(table) == [[cell.strip() for cell in row] for row in written]


@given(cells=CELLS, mark=st.sampled_from(",;\t"), writer=st.sampled_from(WRITERS))
@settings(max_examples=200)
@example([('"x', "", "x"), ("x", "x", "x"), ("x", "", 'x"')], ",", heedless)
@example([("", '",\n,', ",")], ",", backslashed)  # Line 1 is a whole row with doubled marks,
@example([("", '"x"",\n,', ",")], ",", backslashed)  # and here with stray ones.
@example([("", '"\\",;', "")], ",", wrapped)
def test_what_is_read_was_written_in_that_row(
    cells: list[tuple[str, str, str]], mark: str, writer: Callable[[list[str], str], str]
) -> None:
    """Whatever the writer does with quotation marks: each row that is read is one that was written."""
    written = {row[0]: row for row in named(cells)}
    table = read("\n".join([mark.join(HEADER), *(writer(row, mark) for row in written.values())]))
    for row in rows(table):
        if row[0] in written:
            expected = written[row[0]]
            if writer is heedless:
                expected = [cell.replace(mark, " ") for cell in expected]
            assert list(map(bare, row)) == list(map(bare, expected))


@given(
    cells=CELLS,
    mark=st.sampled_from(",;\t"),
    writers=st.lists(st.sampled_from(WRITERS), min_size=6, max_size=6),
    lost=st.lists(st.integers(0, 200), max_size=3),
    missing=st.lists(st.integers(0, 5), max_size=2),
)
@settings(max_examples=200)
def test_no_row_has_another_rows_cells(
    cells: list[tuple[str, str, str]],
    mark: str,
    writers: list[Callable[[list[str], str], str]],
    lost: list[int],
    missing: list[int],
) -> None:
    """Rows of all kinds mixed, some without a cell, and some quotation marks lost."""
    written = named(cells)
    for number in missing:
        if number < len(written):
            written[number].pop()
    lines = [writer(row, mark) for writer, row in zip(writers, written, strict=False)]
    body = "\n".join(lines)
    for place in lost:
        at = body.find('"', place)
        body = body[:at] + body[at + 1 :] if at >= 0 else body
    table = read(mark.join(HEADER) + "\n" + body)
    for row in rows(table):
        if re.fullmatch(r"\d\.jpg", row[0]):
            letters = set(re.findall("[a-z]", "".join(row[1:])))
            assert letters <= {chr(ord("a") + int(row[0][0]))}, row


# --- Quotation marks one by one --------------------------------------------------------------------


def table_of(*lines: str) -> Table:
    return read("\n".join([",".join(HEADER), *lines]))


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('0.jpg,"Sea, ""calm""",,x', ["0.jpg", 'Sea, "calm"', "", "x"]),
        ('0.jpg, "Sea, calm" ,,x', ["0.jpg", "Sea, calm", "", "x"]),
        (r'0.jpg,"Sea, \"calm\"",,x', ["0.jpg", 'Sea, "calm"', "", "x"]),
        (r'0.jpg,"a \\ b, \"c\"",,x', ["0.jpg", 'a \\ b, "c"', "", "x"]),
        (r'0.jpg,"C:\tmp\",,x', ["0.jpg", "C:\\tmp\\", "", "x"]),
        ('0.jpg,The "Old" one,,x', ["0.jpg", 'The "Old" one', "", "x"]),
        ('0.jpg,12" x 8",,x', ["0.jpg", '12" x 8"', "", "x"]),
        ('0.jpg,"Untitled" (1912),,x', ["0.jpg", '"Untitled" (1912)', "", "x"]),
        ('0.jpg,"The "Old" one, no. 1",,x', ["0.jpg", 'The "Old" one, no. 1', "", "x"]),
        ('"0.jpg","one\n\ntwo, three\nfour",,x', ["0.jpg", "one\n\ntwo, three\nfour", "", "x"]),
        ('0.jpg,"one\ntwo","three\n""four""",x', ["0.jpg", "one\ntwo", 'three\n"four"', "x"]),
        ('0.jpg,"one\n\\"two\\", three\nfour",,x', ["0.jpg", 'one\n"two", three\nfour', "", "x"]),
        ("0.jpg,'Sea,calm',x", ["0.jpg", "'Sea", "calm'", "x"]),
    ],
)
def test_cells_that_are_read(line: str, cells: list[str]) -> None:
    table = table_of(line, "1.jpg,a,b,c")
    assert rows(table) == [cells, ["1.jpg", "a", "b", "c"]]


def test_an_open_quotation_mark_costs_its_own_row() -> None:
    lines = [f"{n}.jpg,Untitled {n},,s{n}" for n in range(8)]
    lines[2] = '2.jpg,"Untitled 2,,s2'
    lines[5] = '5.jpg,"Untitled 5,,s5'
    table = table_of(*lines)
    assert [row[0][0] + row[3] for row in rows(table)] == ["0s0", "1s1", "3s3", "4s4", "6s6", "7s7"]
    assert [(row.at, row.key) for row in table.unreadable] == [
        ("row 4", "2.jpg"),
        ("row 7", "5.jpg"),
    ]
    assert faults(table) == [f"an open quotation mark in row {n} of t.csv" for n in (4, 7)]


def test_two_that_look_like_one_long_cell_cost_two_rows() -> None:
    lines = [f"{n}.jpg,Untitled {n},,s{n}" for n in range(8)]
    lines[2], lines[5] = '2.jpg,"Untitled 2,,s2', '5.jpg,Untitled 5",,s5'
    table = table_of(*lines)
    assert [row[0][0] + row[3] for row in rows(table)] == ["0s0", "1s1", "3s3", "4s4", "6s6", "7s7"]
    assert faults(table) == [
        "an open quotation mark in row 4 of t.csv",
        "a quotation mark in row 7 of t.csv may close the one opened in row 4",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ['Op,"start,0.jpg', 'Cubism,",1.jpg'],
        ['Op,"a,b"",0.jpg', 'Cubism,",1.jpg'],
    ],
)
def test_a_cell_that_would_take_in_the_name_of_its_row_is_not_believed(lines: list[str]) -> None:
    table = read("\n".join(["style,title,file", *lines, "Fauvism,x,2.jpg"]))
    assert [row.cells["style"] for row in table.rows] == ["Fauvism"]
    assert faults(table)[0] == "an open quotation mark in row 2 of t.csv"
    # Where names come first, a cell of several lines may hold any.
    told = read('file,style,title\n0.jpg,Op,"see 1.jpg,x,3.jpg\nthere"\n')
    assert [row.cells["style"] for row in told.rows] == ["Op"]


def test_rows_inside_a_cell_are_none() -> None:
    table = table_of('0.jpg,"like', "1.jpg,Sea,,Op", 'and",,x', "2.jpg,a,b,c")
    assert rows(table) == [["2.jpg", "a", "b", "c"]]
    assert [row.at for row in table.unreadable] == ["row 2", "row 3", "row 4"]


def test_where_only_some_lines_of_a_cell_could_be_rows_none_is_taken() -> None:
    text = "\n".join(["one", "two", "1.jpg,copied,,here", "three"])
    table = table_of(f'0.jpg,"{text}",,x', "2.jpg,a,b,c")
    assert rows(table) == [["2.jpg", "a", "b", "c"]]
    assert faults(table)[0] == "an open quotation mark in row 2 of t.csv"
    assert faults(table)[3] == (
        "row 5 of t.csv may be part of a cell with line breaks that is opened in row 2"
    )
    assert len(table.unreadable) == 4


@pytest.mark.parametrize(
    "lines",
    [
        # Doubled: cells a\\ and x, and a row that is too short; with backslashes: one row of two lines.
        ['0.jpg,b,"a\\",x', 'y",c'],
        # The comma may be in the cell, with one too few, or after it.
        ['0.jpg,"The "Old", no. 1",x'],
        ['0.jpg,"a","b,c",d","e"'],
    ],
)
def test_what_can_be_read_in_two_ways_is_not(lines: list[str]) -> None:
    table = table_of(*lines, "1.jpg,a,b,c")
    assert rows(table) == [["1.jpg", "a", "b", "c"]]
    assert len(table.unreadable) == len(lines)
    assert table.unreadable[0].key == "0.jpg"


def test_rows_are_told_as_a_spreadsheet_and_as_an_editor_count_them() -> None:
    table = table_of('0.jpg,"one\ntwo",,x', "", "1.jpg,a")
    assert [row.at for row in table.rows] == ["row 2"]
    assert table.unreadable[0].why == (
        "row 4 (line 5) of t.csv has 2 cells where there are 4 columns; give it a cell for each "
        "column, blank or not"
    )


def test_a_huge_cell_stops_nothing() -> None:
    table = table_of("0.jpg,t," + "n" * 200_000 + ",x", '1.jpg,t,"' + 'n""' * 100_000 + '",y')
    assert [(row[0], row[2], row[3]) for row in rows(table)] == [
        ("0.jpg", "", "x"),
        ("1.jpg", "", "y"),
    ]
    assert table.notes == [
        f"t.csv: 2 cells of more than {LONGEST:,} characters taken as blank, such as 'notes' in row 2"
    ]


@pytest.mark.parametrize("line", ['1.jpg,"x,,a', '1.jpg,"""x,,a', '1.jpg,x" ,"y"" ,a', '"' * 40])
def test_many_damaged_rows_end_soon_and_cost_no_other(line: str) -> None:
    table = table_of(*[line] * 1_000, "0.jpg,a,b,c")
    assert rows(table)[-1] == ["0.jpg", "a", "b", "c"]
