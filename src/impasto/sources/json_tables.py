"""Read tables in JSON: an object in each line (JSON Lines), or one value, such as a list of objects."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from impasto.errors import ImpastoError
from impasto.sources.trees import tidy
from impasto.tabular import Key, Table, Unreadable, choose_key, shown

T = TypeVar("T")

_LISTS = ("images", "data", "rows", "items", "samples", "records", "pictures", "annotations")
"""Keys under which an object may have its list of rows, the likeliest first."""
_SHAPES = '[{"file_name": "1.png", "style": "Cubism"}], or {"1.png": {"style": "Cubism"}}'
_SAMPLE = 1_000
"""The number of rows by which the column of file names is chosen."""


class _Doubled(dict[str, object]):
    """An object that has a key twice."""

    name = ""
    """The key."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of these keys and values; a `_Doubled` if a key occurs twice."""
    by_name = dict(pairs)
    if len(by_name) == len(pairs):
        return by_name
    names = [name for name, _ in pairs]
    doubled = _Doubled(by_name)
    doubled.name = next(name for name in names if names.count(name) > 1)
    return doubled


def _cells(value: object, lists: bool, column: str = "") -> Iterator[tuple[str, str]]:
    """The column and the text of each cell in a JSON value.

    Args:
        value: any value. A list of plain values is one cell, with `|` between them.
        lists: whether lists of objects and of lists are cells, as JSON.
        column: of the value; a key in an object is appended with a dot.

    Raises:
        ValueError: an object has a name twice.
    """
    if isinstance(value, _Doubled):
        raise ValueError(f"has '{shown([value.name])}' twice")
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _cells(inner, lists, f"{column}.{key}" if column else str(key))
    elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        yield column, "|".join(text for item in value for _, text in _cells(item, lists) if text)
    elif isinstance(value, str):
        # JSON may escape half of a surrogate pair, which no file can hold.
        yield column, value.encode("utf-8", "replace").decode()
    elif value is not None and (lists or not isinstance(value, list)):
        yield column, json.dumps(value, ensure_ascii=False)


def row_cells(row: object, lists: bool = True) -> dict[str, str]:
    """The cells of an object by column, whose name is in lower case.

    Args:
        row: a result of `loads`.
        lists: whether lists of objects and of lists are cells, as JSON.

    Raises:
        ValueError: `row` is no object, has a key twice or is nested too deeply.
    """
    if not isinstance(row, dict):
        raise ValueError("no object in braces")
    by_name: dict[str, str] = {}
    try:
        cells = list(_cells(row, lists))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    for key, cell in cells:
        column = sys.intern(tidy(key).lower())
        if column in by_name:
            raise ValueError(f"has '{shown([column])}' twice")
        by_name[column] = tidy(cell)
    return by_name


def loads(text: str) -> object:
    """Parse JSON.

    Raises:
        ValueError: the text is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _table(name: str, rows: Iterable[T], key: Key, value_of: Callable[[T], object]) -> Table:
    """A table of rows.

    Args:
        name: of the table, for messages.
        rows: lines or values; a blank line is no row.
        key: how the column of file names is recognised.
        value_of: gives the JSON value of a row.
    """
    table = Table(name, [])
    columns: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        if isinstance(row, str) and not row.strip():
            continue
        at = f"row {number}"
        try:
            by_name = row_cells(value_of(row))
        except ValueError as error:
            table.unreadable.append(Unreadable(at, "", str(error)))
            continue
        columns |= dict.fromkeys(by_name)
        if any(by_name.values()):
            table.add(at, by_name)
    table.columns = [column for column in columns if column]
    sample = [[row.cells.get(name, "") for name in table.columns] for row in table.rows[:_SAMPLE]]
    column, table.by_cells = choose_key(table.columns, sample, key)
    table.key = table.columns[column] if column >= 0 else None
    table.finish()
    return table


def read_json_lines(text: str, name: str, key: Key) -> Table:
    """Read a table with an object in each line. A list of objects is read, too.

    Args:
        text: the file's text.
        name: of the table, for messages.
        key: how the column of file names is recognised.

    Raises:
        ImpastoError: there is no object. The message lacks the table's name.
    """
    if text.lstrip().startswith("[") and (table := _whole(text, name, key)):
        return table
    table = _table(name, text.split("\n"), key, loads)
    if not table.rows:
        what = ""
        if table.unreadable:
            what = (
                f"; line {table.unreadable[0].at.removeprefix('row ')}: {table.unreadable[0].why}"
            )
        raise ImpastoError(f'has no line such as {{"file_name": "1.png", "style": "Cubism"}}{what}')
    return table


def _rows(value: object, key: Key) -> list[object] | None:
    """The rows in a JSON value; None if its form is unknown. See `read_json`."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or isinstance(value, _Doubled):
        return None
    for name in _LISTS:
        inner = value.get(name)
        if isinstance(inner, list) and any(isinstance(row, dict) for row in inner):
            return inner
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):  # pandas, orient="split"
        rows = [row for row in data if isinstance(row, list) and len(row) == len(columns)]
        if len(rows) == len(data):
            return [dict(zip(map(str, columns), row, strict=True)) for row in rows]
    inner = list(value.values())
    if inner and all(isinstance(column, list) for column in inner):  # A list a column.
        if len({len(column) for column in inner if isinstance(column, list)}) == 1:
            return [dict(zip(value, cells, strict=True)) for cells in zip(*inner, strict=True)]
        return None
    if not inner or not all(isinstance(row, dict) for row in inner):
        return None
    if all(key.looks(tidy(str(name))) for name in value):
        return [
            row if isinstance(row, _Doubled) else {"key": name, **row}
            for name, row in value.items()
            if isinstance(row, dict)
        ]
    by_row: dict[str, dict[str, object]] = {}
    for name, column in value.items():  # pandas, by default
        for number, cell in column.items() if isinstance(column, dict) else ():
            by_row.setdefault(number, {})[name] = cell
    return list(by_row.values())


def _whole(text: str, name: str, key: Key) -> Table | None:
    """The table in a text that is one JSON value; None if there is none."""
    try:
        rows = _rows(loads(text), key)
    except ValueError:
        return None
    if not rows or not any(isinstance(row, dict) for row in rows):
        return None
    return _table(name, rows, key, lambda row: row)


def read_json(text: str, name: str, key: Key) -> Table:
    """Read a table in one JSON value: a list of objects, an object with such a list, objects by file
    name, lists by column, or the forms that pandas writes.

    Args:
        text: the file's text.
        name: of the table, for messages.
        key: how the column of file names is recognised.

    Raises:
        ImpastoError: there is no table. The message lacks the table's name.
    """
    if table := _whole(text, name, key):
        return table
    raise ImpastoError(f"is no table in JSON, such as {_SHAPES}")
