"""Parse delimited text into rows, so that damage in one row never shifts another's cells.

A row is normally a line. A cell that begins with a quotation mark may hold delimiters and line breaks;
it ends at a quotation mark that is followed by a delimiter or the end of a line. Inside, a quotation
mark is written twice, or as backslash and quotation mark. In other cells quotation marks are text.

Many tables break these rules, and then the end of a quoted cell is uncertain. The rules for such
cases:

- A row over several lines is accepted only if every quotation mark in it is in a valid place, none
  of its later lines could be a row, and its first line has no file name after the opened cell if
  that comes later. Otherwise the lines that open and close the cell are left out, even if the first
  could be read as a row by itself. The lines between are read as rows if both outer lines are whole
  rows and most of the inner ones could be rows; else they are left out too.
- A line on its own may have stray quotation marks, as in `"The "Old" Guitarist",Cubism`: it is read
  if exactly one split gives a whole row and the stray marks are in pairs.
- If doubled and backslashed quotation marks give two different whole rows, the row is left out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

_WAYS = 500
"""Most cells tried in a line with stray quotation marks, and in all lines of a table:"""
_ALL_WAYS = 10_000
_ESCAPED = re.compile(r'["\\](["\\])')


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    number: int
    """The row's number in a spreadsheet, from 1."""
    line: int
    """The line of the file that it begins in, from 1."""
    cells: list[str]
    """For a faulty row, the line split at every delimiter."""
    fault: str = ""
    """Why the row is unusable, with `{at}` for its place."""

    @property
    def at(self) -> str:
        """`row 5`, or `row 5 (line 9)` after cells of several lines."""
        more = f" (line {self.line})" if self.line != self.number else ""
        return f"row {self.number}{more}"


@dataclass(frozen=True)
class Shape:
    """Tests of rows for a table."""

    fits: Callable[[list[str]], bool]
    """Whether these cells are a whole row."""
    could_be_row: Callable[[list[str]], bool]
    """Whether a line of these cells may be a row, perhaps a damaged one."""
    named_from: Callable[[list[str], int], bool]
    """Whether the column of names is at or after this index, and one of the cells from there may be
    a name."""


@dataclass(frozen=True)
class _Reading:
    """The cells of a row with all quotation marks in valid places."""

    cells: list[str]
    lines: int
    safe: bool
    """Whether none of its later lines could be a row; otherwise reading stops at the end of that
    cell."""
    opened: int = 0
    """The number of cells before the first one of several lines."""


class Splitter:
    """Splits text into rows.

    Args:
        text: with `\\n` between lines.
        delimiter: one character.
        passed_over: whether a line is to be skipped, such as a comment.
    """

    def __init__(
        self, text: str, delimiter: str, passed_over: Callable[[str], bool] = lambda line: False
    ) -> None:
        self.lines = text.split("\n")
        self._text, self._delimiter, self._passed_over = text, delimiter, passed_over
        self._ways_left = _ALL_WAYS
        self._starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        end = rf'"[ ]*(?=[{re.escape(delimiter)}\n]|\Z)'
        self._doubled = re.compile(rf'[ ]*"((?:[^"]+|"")*+){end}')
        self._backslashed = re.compile(rf'[ ]*"((?:[^"\\]+|\\.|"")*+){end}', re.DOTALL)
        self._bare = re.compile(rf"[^{re.escape(delimiter)}\n]*")
        self._end = re.compile(end)

    def peek(
        self, at: int, could_be_row: Callable[[list[str]], bool]
    ) -> list[tuple[list[str], int]]:
        """The possible readings of the row that begins in a line (cells and number of lines),
        before the table's shape is known."""

        def could_be(n: int) -> bool:
            return could_be_row(self.lines[n].split(self._delimiter))

        ways = []
        if '"' in self.lines[at]:
            readings = self._readings(at, could_be)
            ways = [(reading.cells, reading.lines) for reading in readings if reading.safe]
        return ways or [(self._split(at), 1)]

    def _split(self, at: int) -> list[str]:
        """The cells of one line; quotation marks count if they are in valid places."""
        line = self.lines[at]
        if '"' in line:
            reading = self._clean(at, self._doubled, lambda n: True)
            if reading is not None and reading.lines == 1:
                return reading.cells
        return line.split(self._delimiter)

    def rows(self, shape: Shape, at: int = 0, number: int = 1) -> Iterator[Row]:
        """The rows from a line on, blank ones left out.

        Args:
            at: the line, from 0.
            number: of the first row.
        """
        doubtful: dict[int, str] = {}
        while at < len(self.lines):
            line, taken, fault = self.lines[at], 1, ""
            if at in doubtful:
                cells, fault = line.split(self._delimiter), doubtful.pop(at)
            elif not line.strip() or self._passed_over(line):
                cells = []
            elif '"' not in line:
                cells = line.split(self._delimiter)
            else:
                row = Row(number, at + 1, [])
                cells, taken, doubts = self._row(at, row, shape)
                doubtful |= doubts
                fault = doubtful.pop(at, "")
            if cells:
                yield Row(number, at + 1, cells, fault)
            number += 1
            at += taken

    def _clean(
        self, at: int, quoted: re.Pattern[str], could_be_row: Callable[[int], bool]
    ) -> _Reading | None:
        """The row that begins in a line; None if a quotation mark is in an invalid place."""
        text, cells, last, opened = self._text, list[str](), at, 0
        place = self._starts[at]
        while True:
            if match := quoted.match(text, place):
                doubled = quoted is self._doubled
                cells.append(
                    match[1].replace('""', '"') if doubled else _ESCAPED.sub(r"\1", match[1])
                )
                before, last = last, last + match[1].count("\n")
                if before == at < last:
                    opened = len(cells) - 1
                if any(map(could_be_row, range(before + 1, last + 1))):
                    return _Reading(cells, last - at + 1, False)
            else:
                match = self._bare.match(text, place)
                assert match is not None, "nothing at all matches too"
                if match[0].lstrip(" ").startswith('"'):
                    return None
                cells.append(match[0])
            place = match.end()
            if place >= len(text) or text[place] == "\n":
                return _Reading(cells, last - at + 1, True, opened)
            place += 1

    def _readings(self, at: int, could_be_row: Callable[[int], bool]) -> list[_Reading]:
        """The readings with doubled and with backslashed quotation marks, if they differ."""
        first = self._clean(at, self._doubled, could_be_row)
        lines = self.lines[at : at + first.lines] if first else self.lines[at : at + 1]
        if first and not any('\\"' in line for line in lines):
            return [first]
        second = self._clean(at, self._backslashed, could_be_row)
        both = [first, second] if second != first else [first]
        return [reading for reading in both if reading is not None]

    def _row(self, at: int, row: Row, shape: Shape) -> tuple[list[str], int, dict[int, str]]:
        """The cells of the row that begins in a line, its number of lines, and the faults by line."""

        def could_be_row(n: int) -> bool:
            bare = self.lines[n].split(self._delimiter)
            return shape.could_be_row(bare) or shape.could_be_row(self._split(n))

        readings = self._readings(at, could_be_row)
        bare = self.lines[at].split(self._delimiter)

        def swallows_name(reading: _Reading) -> bool:
            """Whether a cell of several lines may have swallowed the end of a row."""
            return reading.lines > 1 and shape.named_from(bare, reading.opened)

        unsure = [reading for reading in readings if not reading.safe or swallows_name(reading)]
        safe = [reading for reading in readings if reading not in unsure]
        fitting = [reading for reading in safe if shape.fits(reading.cells)]
        two_ways = 'in {at}, \\" may be a quotation mark or end a cell; write quotation marks twice'
        open_mark = "an open quotation mark in {at}; close it, or remove it"
        if unsure:
            doubts: dict[int, str] = {}
            for reading in readings:
                doubts |= self._doubts(at, at + reading.lines - 1, row, shape, could_be_row)
            return bare, 1, doubts | {at: two_ways if fitting else open_mark}
        if len(fitting) == 1:
            return fitting[0].cells, fitting[0].lines, {}
        if fitting:
            lines = max(reading.lines for reading in fitting)
            return bare, 1, dict.fromkeys(range(at, at + lines), two_ways)
        if not any(reading.lines == 1 for reading in safe):
            only = self._only_way(self.lines[at], shape)
            if only is not None:
                return only, 1, {}
        if safe:  # A wrong number of cells is reported elsewhere.
            return safe[0].cells, safe[0].lines, {}
        return bare, 1, {at: open_mark}

    def _doubts(
        self, at: int, last: int, row: Row, shape: Shape, could_be_row: Callable[[int], bool]
    ) -> dict[int, str]:
        """The lines to leave out, with reasons, if a cell seems to span lines that could be rows."""

        def is_row(n: int) -> bool:
            bare = self.lines[n].split(self._delimiter)
            return shape.fits(bare) and shape.could_be_row(bare)

        rows = sum(map(could_be_row, range(at, last + 1)))
        if is_row(at) and is_row(last) and 2 * rows > last - at + 1:
            return {last: f"a quotation mark in {{at}} may close the one opened in {row.at}"}
        why = f"{{at}} may be part of a cell with line breaks that is opened in {row.at}"
        return dict.fromkeys(range(at + 1, last + 1), why)

    def _only_way(self, line: str, shape: Shape) -> list[str] | None:
        """The only split of a line with stray quotation marks into a whole row; None if there are
        several, the marks are not in pairs, or there is too much to try.

        A cell that begins with a quotation mark may end at any that a delimiter follows, or at the
        first delimiter.
        """
        found: list[list[str]] = []
        begun: list[tuple[int, list[str]]] = [(0, [])]
        for _ in range(min(_WAYS, self._ways_left)):
            if not begun or len(found) > 1:
                break
            self._ways_left -= 1
            place, cells = begun.pop()
            bare = self._bare.match(line, place)
            assert bare is not None, "nothing at all matches too"
            start = place + len(bare[0]) - len(bare[0].lstrip(" "))
            ends = [(bare.end(), bare[0])]
            if line.startswith('"', start):
                ends += [
                    (end.end(), line[start + 1 : end.start()].replace('""', '"'))
                    for end in self._end.finditer(line, start + 1)
                ]
                if len(ends) > 1 and ends[1][0] == bare.end():
                    del ends[0]  # The same cell with its quotation marks around it.
            for end_of_cell, cell in ends:
                if end_of_cell < len(line):
                    begun.append((end_of_cell + 1, [*cells, cell]))
                elif shape.fits(whole := [*cells, cell]):
                    found.append(whole)
        if begun or len(found) != 1 or any(cell.count('"') % 2 for cell in found[0]):
            return None
        return found[0]
