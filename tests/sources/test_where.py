"""Conditions on pictures, against SQLite and by hand."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import ImpastoError
from impasto.sources.listing import Content, Entry, Listing
from impasto.sources.where import number_in, parse, row_of, where

ROW = {"path": "a/1.jpg", "style": "Impressionism", "year": "c. 1872", "stars": "3.5", "of": ""}


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("style = 'Impressionism' and year >= 1870", True),
        ("style = 'impressionism'", False),
        ("STYLE == 'Impressionism' AND NOT year < 1870", True),
        ("style like 'impress%'", True),
        ("style like 'Impress_onism' and style not like '%x%'", True),
        ("path like 'a/%'", True),
        ("style in ('Realism', 'Impressionism')", True),
        ("year not in (1872, 1873)", False),
        ("year in (1872, 'x')", True),
        ("stars > 3 and stars <= 3.5 and stars <> -1e3", True),
        ("year between 1870 and 1880", True),
        ("not (year between 1870 and 1880) or stars = 4", False),
        # A blank is neither equal nor unequal to anything.
        ("of = 'x' or of != 'x' or of < 3", False),
        ("not of = 'x'", False),
        ("of is null and style is not null", True),
        ("of = 'x' or style > 'A'", True),
        ("artist is null", True),
        ("style > 5", False),
        ("not style > 5", False),
        # `and` before `or`, `not` before both.
        ("style = 'x' and stars = 1 or stars = 3.5", True),
        ("stars = 3.5 or style = 'x' and stars = 1", True),
        ("not style = 'x' and stars = 1", False),
        ("\"style\" = 'Impressionism'", True),
        ("((style='Impressionism'))", True),
    ],
)
def test_conditions(text: str, true: bool) -> None:
    assert parse(text, [*ROW, "artist"])(ROW) is true


def test_names_and_texts_may_hold_anything() -> None:
    row = {"date of birth": "1840", 'a "b"': "O'Keeffe", "größe": "Café", "sub-genre": "sea"}
    known = list(row)
    for text in (
        '"Date of birth" = 1840',
        '"a ""b""" = \'O\'\'Keeffe\'',
        "größe = 'Cafe\u0301'",
        "sub-genre\n= 'sea'",
    ):
        assert parse(text, known)(row), text


def test_the_number_of_a_text() -> None:
    for text, number in {
        "1872": 1872,
        "-3.5": -3.5,
        " 12 ": 12,
        "1e3": 1000,
        "c. 1872": 1872,
        "1870-1872": 1870,
        "1870s": 1870,
        "Paris, 12 May 1872": 1872,
        "1872-05-12": 1872,
        "12345 and 1999": 1999,
        "12345 x": None,
        "before 900": None,
        "": None,
        "nan": None,
        "9007199254740993": 9007199254740993,
    }.items():
        assert number_in(text) == number, text
    assert parse("id = 9007199254740993")({"id": "9007199254740993"})
    assert not parse("id = 9007199254740993")({"id": "9007199254740992"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the condition is empty; one is such as: style = 'Realism' and year >= 1870"),
        (
            "style = Realism",
            "at character 9: text is written in single quotes, 'Realism': style = ^",
        ),
        ('style = "Realism"', "at character 9: text is written in single quotes, 'Realism'"),
        (
            "style = 'x' and and y = 1",
            "at character 17: a column is expected: style = 'x' and ^and",
        ),
        ("style = 'x", "at character 9: this quote is not closed: style = ^'x"),
        ("style = 'x' y", "at character 13: 'and', 'or' or the end is expected: style = 'x' ^y"),
        ("style 'x'", "at character 7: = != < <= > >=, 'in', 'between', 'like' or 'is null' is"),
        ("style not = 'x'", "at character 11: 'in', 'like' or 'between' is expected"),
        ("1870 < year", "at character 1: a column is expected, and what it is compared with comes"),
        (
            "style = null",
            "what is not known is found by 'is null' and 'is not null': style = ^null",
        ),
        ("style = ''", "what is blank is found by 'is null' and 'is not null': style = ^''"),
        ("(style = 'x'", "at character 13: ')' is expected"),
        ("style in 'x'", "at character 10: '(' is expected, as in: in ('this', 'that')"),
        ("style in ('x' 'y')", "at character 15: ',' or ')' is expected"),
        ("style is 'x'", "'null' or 'not null' is expected"),
        ("style like 5", "a pattern in single quotes is expected"),
        ("year between 5 or 6", "'and' is expected"),
        ("style = 'x'; drop", "at character 12: ';' means nothing here"),
        ("year =", "at character 7: a number or a text in single quotes is expected"),
        ("stile = 'x'", "unknown column 'stile'; did you mean style?"),
        ("zzz = 'x'", "unknown column 'zzz'; there is of, path, stars, style, year"),
        ("(" * 3000 + "style = 'x'" + ")" * 3000, "more than 50 parentheses or 'not' within"),
        ("not " * 3000 + "style = 'x'", "more than 50 parentheses or 'not' within each other"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(text: str, message: str) -> None:
    with pytest.raises(ImpastoError) as error:
        parse(text, list(ROW))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_long_conditions_are_read() -> None:
    assert parse(" or ".join(["style = 'x'"] * 5000 + ["stars = 3.5"]))(ROW)


# Against SQLite: the same condition, written twice from one tree. A column beside a number is another
# column there, of the numbers we know the texts to stand for.

TEXTS = ("Rococo", "rococo", "O'Keeffe", "a%b", "1872", "ü")
CELLS = st.sampled_from(
    [
        *((text, int(text) if text == "1872" else None) for text in TEXTS),
        ("", None),
        ("c. 1640-1642", 1640),
        ("-2.5", -2.5),
        ("12345", 12345),
        ("around 900", None),
    ]
)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6)
VALUES = st.one_of(st.sampled_from(TEXTS), st.sampled_from([1640, 1872, -2.5, 0, 12345, 1e9]))
SIGNS = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])
PATTERNS = st.text(alphabet="Ro%_c'18", min_size=1, max_size=5)


def _quoted(value: str | float) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _column(name: str, value: object) -> str:
    """What SQLite calls a column beside this value."""
    return name if isinstance(value, str) else f"{name}_number"


@st.composite
def _tests(draw: st.DrawFn) -> tuple[str, str]:
    """Ours, and SQLite's."""
    name = draw(st.sampled_from(["one", "two"]))
    negated = draw(st.sampled_from(["", "not "]))
    kind = draw(st.sampled_from(["sign", "in", "like", "null", "between"]))
    if kind == "sign":
        sign, value = draw(SIGNS), draw(VALUES)
        return f"{name} {sign} {_quoted(value)}", f"{_column(name, value)} {sign} {_quoted(value)}"
    if kind == "in":
        values = draw(st.lists(VALUES, min_size=1, max_size=3))
        # Mixed lists are not SQL, but what they mean is plain.
        each = " or ".join(f"{_column(name, value)} = {_quoted(value)}" for value in values)
        return f"{name} {negated}in ({', '.join(map(_quoted, values))})", f"{negated}({each})"
    if kind == "like":
        pattern = _quoted(draw(PATTERNS))
        return f"{name} {negated}like {pattern}", f"{name} {negated}like {pattern}"
    if kind == "between":
        low, high = draw(st.tuples(*[st.sampled_from([0, 1640, 1872])] * 2))
        text = f"{negated}between {low} and {high}"
        return f"{name} {text}", f"{name}_number {text}"
    return f"{name} is {negated}null", f"{name} is {negated}null"


def _joined(parts: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    def join(word: str, some: list[tuple[str, str]]) -> tuple[str, str]:
        return f" {word} ".join(our for our, _ in some), f" {word} ".join(sql for _, sql in some)

    several = st.builds(
        join, st.sampled_from(["and", "or"]), st.lists(parts, min_size=2, max_size=3)
    )
    wrapped = st.builds(
        lambda sign, part: (f"{sign}({part[0]})", f"{sign}({part[1]})"),
        st.sampled_from(["", "not "]),
        parts,
    )
    return several | wrapped


@settings(max_examples=300)
@given(rows=ROWS, both=st.recursive(_tests(), _joined, max_leaves=6))
def test_conditions_are_those_of_sqlite(
    rows: list[tuple[tuple[str, float | None], ...]], both: tuple[str, str]
) -> None:
    ours, sql = both
    with sqlite3.connect(":memory:") as database:
        # Without a type, columns compare texts as texts and numbers as numbers.
        database.execute("create table rows (place, one, one_number, two, two_number)")
        for place, cells in enumerate(rows):
            values = [part for text, number in cells for part in (text or None, number)]
            database.execute("insert into rows values (?, ?, ?, ?, ?)", [place, *values])
        found = database.execute(f"select place from rows where {sql}").fetchall()
    database.close()
    condition = parse(ours)
    chosen = [
        place
        for place, cells in enumerate(rows)
        if condition({"one": cells[0][0], "two": cells[1][0]})
    ]
    assert chosen == [place for (place,) in found], (ours, sql)


@settings(max_examples=200)
@given(text=st.text(alphabet="ab '\"=<>()_%,.1e-\nandornotlike;ü", max_size=30))
def test_no_text_is_too_strange(text: str) -> None:
    with contextlib.suppress(ImpastoError):
        assert parse(text)({}) in (True, False)


def listing(contents: bool = False) -> Listing:
    styles = ["Rococo", "Cubism", "", "Rococo", "Realism"]
    entries = [
        Entry(f"{k}.png", None, str(k), (style,), {"year": str(1870 + k), "Medium": "oil"})
        for k, style in enumerate(styles)
    ]
    found = Listing("a test", ("style",), entries, [("x.txt", "no picture")], ["a note"])
    if contents:

        def read(numbers: Sequence[int]) -> Iterator[Content]:
            assert list(numbers) == sorted(numbers)
            for number in numbers:
                yield np.full((1, 1, 3), number, np.uint8)

        found.contents = read
    return found


def test_a_listing_is_narrowed() -> None:
    whole = listing()
    chosen = where(whole, "style = 'Rococo' or year > 1873 and medium = 'oil'")
    assert [entry.relative for entry in chosen.entries] == ["0.png", "3.png", "4.png"]
    assert chosen.left_out == whole.left_out
    assert chosen.notes == [
        "a note",
        "3 of 5 pictures chosen, where style = 'Rococo' or year > 1873 and medium = 'oil'",
    ]
    assert whole.notes == ["a note"]
    assert len(whole.entries) == 5
    assert row_of(whole.entries[2], whole.fields) == {
        "path": "2.png",
        "year": "1872",
        "Medium": "oil",
    }


def test_contents_go_by_the_new_numbers() -> None:
    chosen = where(where(listing(contents=True), "year != 1871"), "year != 1870")
    assert [entry.relative for entry in chosen.entries] == ["2.png", "3.png", "4.png"]
    assert chosen.contents is not None
    assert [int(np.asarray(each).max()) for each in chosen.contents([0, 2])] == [2, 4]
    assert list(chosen.contents([])) == []


def test_a_misspelt_class_is_noticed() -> None:
    with pytest.raises(ImpastoError) as error:
        where(listing(), "style = 'rococo'")
    assert str(error.value) == (
        "style = 'rococo' is true of none of the 5 pictures; no picture has style 'rococo'; did you "
        "mean Rococo?"
    )
    chosen = where(listing(), "style in ('Rococo', 'Realsm')")
    assert chosen.notes[-1] == "no picture has style 'Realsm'; did you mean Realism?"
    with pytest.raises(ImpastoError, match=r"unknown column 'yaer'; did you mean year\?"):
        where(listing(), "yaer = 1870")
