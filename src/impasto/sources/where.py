"""Choose a source's pictures by a condition on their columns, as in SQL.

    style = 'Impressionism' and (year >= 1870 or year is null)
    artist in ('Hokusai', 'Hiroshige') and not title like '%fragment%'

A column is `path`, a label field, or another column of the source. Rules:

- Operators are = != < <= > >= (== and <> too), in, between, like, is null; not, and, or, parentheses.
  Case does not matter in keywords and column names; a name with blanks is "in double quotes", text
  is 'in single quotes', with '' for an apostrophe.
- Text is compared exactly. Only `like` ignores case; in its pattern % stands for any characters and _
for
  one, as in SQLite.
- In a comparison with a number, a cell's number is used: that of the whole cell ('1872', '3.5'), else
    the
  first number of four digits in it ('c. 1872', '1870-1872' and 'Paris, 12 May 1872' are 1872, 1870 and
  1872).
- A blank cell, or one without a number where a number is needed, is null: neither equal nor unequal to
  anything. Such pictures are chosen only by `is null` or the other side of an `or` (three-valued logic,
  ISO/IEC 9075-2, 'boolean value expression').
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from impasto.errors import ImpastoError, near
from impasto.sources.listing import Entry, Listing

Row = Mapping[str, str]
"""A picture's cells by column; blank or missing if unknown."""
Test = Callable[[Row], bool | None]
"""A test of a picture; None means unknown."""
Number = int | float

PATH = "path"
"""The column of a picture's path in its source."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*') | (?P<column>"(?:[^"]|"")+")
        | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        | (?P<sign><>|!=|<=|>=|==|[=<>(),])
        | (?P<word>[^\W\d][\w.-]*)
        | (?P<end>$)
    )""",
    re.VERBOSE,
)
_WORDS = frozenset(["and", "or", "not", "in", "between", "like", "is", "null"])
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_DEEPEST = 50
"""Most levels of parentheses and `not`."""

_SIGNS: dict[str, Callable[[object, object], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    text: str
    columns: tuple[str, ...]
    """Names of the columns in it."""
    equal: tuple[tuple[str, str], ...]
    """Column and text of each =, != and `in`, for notes on texts that no picture has."""
    test: Test

    def __call__(self, row: Row) -> bool:
        """Whether it is true of a picture; False where unknown."""
        return self.test(row) is True


def number_in(text: str) -> Number | None:
    """The number in a text: the whole text, else the first number of four digits; None if there is
    none."""
    if _NUMBER.fullmatch(text.strip()):
        return _number(text)
    year = _YEAR.search(text)
    return None if year is None else int(year[0])


def _number(text: str) -> Number:
    try:
        return int(text)  # exact, however long
    except ValueError:
        return float(text)


@dataclass(frozen=True)
class _Token:
    kind: str
    """`text`, `column`, `number`, `sign`, `word`, `keyword` or `end`."""
    value: str
    at: int
    """The position of its first character."""


class _Parser:
    """A recursive descent parser. Each method for a rule of the grammar consumes its tokens and returns
    a test."""

    def __init__(self, text: str, columns: Iterable[str] | None) -> None:
        self.text = unicodedata.normalize("NFC", text.replace("\n", " "))
        self.known = None if columns is None else list(columns)
        self.columns: list[str] = []
        self.equal: list[tuple[str, str]] = []
        self.depth = 0
        self.position = 0
        self.token = self._next()

    def fail(self, what: str, at: int | None = None) -> NoReturn:
        """Raise the error for the next token, or for the character at position `at`."""
        at = self.token.at if at is None else at
        raise ImpastoError(
            f"cannot read the condition at character {at + 1}: {what}: "
            f"{self.text[:at]}^{self.text[at:]}"
        )

    def _next(self) -> _Token:
        found = _TOKEN.match(self.text, self.position)
        if found is None:
            at = len(self.text) - len(self.text[self.position :].lstrip())
            sign = self.text[at]
            self.fail(
                "this quote is not closed" if sign in "'\"" else f"'{sign}' means nothing here", at
            )
        self.position = found.end()
        kind = str(found.lastgroup)
        value = found[kind]
        if kind == "word" and value.lower() in _WORDS:
            kind, value = "keyword", value.lower()
        elif kind in ("text", "column"):
            value = value[1:-1].replace(value[0] * 2, value[0])
        elif kind == "sign":
            value = {"==": "=", "<>": "!="}.get(value, value)
        return _Token(kind, value, found.start(found.lastgroup or 0))

    def take(self, *kinds: str) -> _Token | None:
        """Consume the next token if it is of one of these kinds, or is one of these keywords or signs;
        else None."""
        token = self.token
        named = token.kind in ("sign", "keyword") and token.value in kinds
        if not named and token.kind not in kinds:
            return None
        self.token = self._next()
        return token

    def condition(self) -> Condition:
        if self.token.kind == "end":
            raise ImpastoError(
                "the condition is empty; one is such as: style = 'Realism' and year >= 1870"
            )
        test = self.disjunction()
        if self.token.kind != "end":
            self.fail("'and', 'or' or the end is expected")
        return Condition(self.text, tuple(dict.fromkeys(self.columns)), tuple(self.equal), test)

    def disjunction(self) -> Test:
        parts = [self.conjunction()]
        while self.take("or"):
            parts.append(self.conjunction())
        return _any_of(parts)

    def conjunction(self) -> Test:
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        # a and b = not (not a or not b), also with unknowns.
        return _not(_any_of([_not(part) for part in parts])) if len(parts) > 1 else parts[0]

    def negation(self) -> Test:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"more than {_DEEPEST} parentheses or 'not' within each other")
        if self.take("not"):
            test = _not(self.negation())
        elif self.take("("):
            test = self.disjunction()
            if not self.take(")"):
                self.fail("')' is expected")
        else:
            test = self.comparison()
        self.depth -= 1
        return test

    def comparison(self) -> Test:
        column = self.column()
        if self.take("is"):
            negated = self.take("not")
            if not self.take("null"):
                self.fail("'null' or 'not null' is expected")
            return _not(_is_null(column)) if negated else _is_null(column)
        if sign := self.take(*_SIGNS):
            value = self.value()
            if sign.value in ("=", "!="):
                self.note(column, value)
            return _compared(column, sign.value, value)
        negated = self.take("not")
        if self.take("in"):
            test = self.among(column)
        elif self.take("like"):
            test = self.like(column)
        elif self.take("between"):
            low = self.value()
            if not self.take("and"):
                self.fail("'and' is expected")
            beyond = [_compared(column, "<", low), _compared(column, ">", self.value())]
            test = _not(_any_of(beyond))
        elif negated:
            self.fail("'in', 'like' or 'between' is expected")
        else:
            self.fail("= != < <= > >=, 'in', 'between', 'like' or 'is null' is expected")
        return _not(test) if negated else test

    def column(self) -> str:
        token = self.token
        if not self.take("word", "column"):
            what = "a column is expected"
            if token.kind in ("text", "number"):
                what += ", and what it is compared with comes after it"
            self.fail(what)
        name = token.value
        if self.known is not None and name not in self.known:
            alike = [other for other in self.known if other.lower() == name.lower()]
            if len(alike) != 1:
                raise ImpastoError(f"unknown column {near(name, self.known)}")
            name = alike[0]
        self.columns.append(name)
        return name

    def value(self) -> str | Number:
        token = self.token
        if self.take("number"):
            return _number(token.value)
        if not self.take("text"):
            if token.kind in ("word", "column"):
                self.fail(f"text is written in single quotes, '{token.value}'")
            if token.value == "null":
                self.fail("what is not known is found by 'is null' and 'is not null'")
            self.fail("a number or a text in single quotes is expected")
        if not token.value:
            self.fail("what is blank is found by 'is null' and 'is not null'", token.at)
        return token.value

    def among(self, column: str) -> Test:
        if not self.take("("):
            self.fail("'(' is expected, as in: in ('this', 'that')")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        if not self.take(")"):
            self.fail("',' or ')' is expected")
        for value in values:
            self.note(column, value)
        return _any_of([_compared(column, "=", value) for value in values])

    def like(self, column: str) -> Test:
        token = self.token
        if not self.take("text"):
            self.fail("a pattern in single quotes is expected, such as 'Claude%'")
        parts = [{"%": ".*", "_": "."}.get(sign, re.escape(sign)) for sign in token.value]
        pattern = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)

        def test(row: Row) -> bool | None:
            text = row.get(column)
            return bool(pattern.fullmatch(text)) if text else None

        return test

    def note(self, column: str, value: str | Number) -> None:
        if isinstance(value, str):
            self.equal.append((column, value))


def _any_of(parts: Sequence[Test]) -> Test:
    """True if one part is; False if all are; else None."""
    if len(parts) == 1:
        return parts[0]

    def test(row: Row) -> bool | None:
        found: bool | None = False
        for part in parts:
            holds = part(row)
            if holds:
                return True
            if holds is None:
                found = None
        return found

    return test


def _not(part: Test) -> Test:
    def test(row: Row) -> bool | None:
        holds = part(row)
        return None if holds is None else not holds

    return test


def _is_null(column: str) -> Test:
    return lambda row: not row.get(column)


def _compared(column: str, sign: str, value: str | Number) -> Test:
    holds = _SIGNS[sign]

    def test(row: Row) -> bool | None:
        text: str | Number | None = row.get(column) or None
        if text is not None and not isinstance(value, str):
            text = number_in(str(text))
        return None if text is None else holds(text, value)

    return test


def parse(text: str, columns: Iterable[str] | None = None) -> Condition:
    """Parse a condition.

    Args:
        text: such as `style = 'Realism' and year >= 1870`; see the top of this file.
        columns: names of the known columns; None: any column, spelled as in the rows.

    Raises:
        ImpastoError: the condition cannot be parsed (the message says where), or names an unknown
            column.
    """
    return _Parser(text, columns).condition()


def written(column: str, sign: str, text: str) -> str:
    """The comparison of a column with a text, as `parse` reads it."""
    plain = re.fullmatch(r"[^\W\d][\w.-]*", column) and column.lower() not in _WORDS
    name = column if plain else '"' + column.replace('"', '""') + '"'
    return f"{name} {sign} '" + text.replace("'", "''") + "'"


def row_of(entry: Entry, fields: Sequence[str]) -> dict[str, str]:
    """An entry's cells by column."""
    named = {name: label for name, label in zip(fields, entry.labels, strict=True) if label}
    return {**entry.about, **named, PATH: entry.relative}


def columns_of(listing: Listing) -> list[str]:
    """The columns that a condition can use."""
    described = {name for entry in listing.entries for name in entry.about}
    return [PATH, *listing.fields, *sorted(described - {PATH, *listing.fields})]


def select(listing: Listing, numbers: Sequence[int]) -> Listing:
    """The listing with only the entries of these numbers, which must rise."""
    contents = listing.contents
    return replace(
        listing,
        entries=[listing.entries[number] for number in numbers],
        left_out=list(listing.left_out),
        notes=list(listing.notes),
        contents=contents and (lambda wanted: contents([numbers[place] for place in wanted])),
    )


def where(listing: Listing, text: str) -> Listing:
    """The listing with only the pictures for which a condition is true. It gets a note on their number,
    and one on each text in the condition that no picture has.

    Args:
        listing: of the source.
        text: the condition.

    Raises:
        ImpastoError: the condition cannot be parsed, names an unknown column, or is true of no
            picture.
    """
    condition = parse(text, columns_of(listing))
    there: dict[str, set[str]] = {column: set() for column, _ in condition.equal}
    numbers = []
    for number, entry in enumerate(listing.entries):
        row = row_of(entry, listing.fields)
        if condition(row):
            numbers.append(number)
        for column, found in there.items():
            found.add(row.get(column, ""))
    missing = [
        f"no picture has {column} {near(value, there[column] - {''})}"
        for column, value in dict.fromkeys(condition.equal)
        if value not in there[column]
    ]
    total = f"{len(listing.entries):,}"
    if not numbers:
        hint = f"; {missing[0]}" if missing else ""
        raise ImpastoError(f"{condition.text} is true of none of the {total} pictures{hint}")
    chosen = select(listing, numbers)
    chosen.notes.append(f"{len(numbers):,} of {total} pictures chosen, where {condition.text}")
    chosen.notes += missing
    return chosen
