"""Choose some of a collection's pictures by a condition, without packing again."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from impasto.errors import ImpastoError, near
from impasto.sources.where import Condition, parse

_SHORT = re.compile(
    r"""\s*(?P<column>[^\W\d][\w.-]*|"[^"]+")\s*=\s*(?P<text>[^\s'"=<>][^"=<>]*?)\s*"""
)
"""A column and a text without quotes, `style=Ukiyo-e`, as in `sample --class`."""
_NUMBERING = "index"
"""The column of `sources.csv` that numbers its rows. Conditions cannot use it."""


class Field(Protocol):
    """A label field."""

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> Sequence[str]: ...


def select_pictures(
    text: str,
    fields: Sequence[Field],
    labels: np.ndarray,
    sources: np.ndarray,
    table: Sequence[Mapping[str, str]],
) -> tuple[str, np.ndarray]:
    """Choose pictures by a condition; see `sources/where.py`.

    Args:
        text: the condition, on label fields and on the columns of `sources.csv`; or a column and
            its text without quotes, `style=Ukiyo-e`.
        fields: the F label fields.
        labels: [N, F], the class of each picture in each field, or -1.
        sources: [N], the row of each picture in the table.
        table: the rows of `sources.csv`.

    Returns:
        The condition, with quotes; and whether it is true of each picture, bool [N].

    Raises:
        ImpastoError: the condition cannot be parsed, or names an unknown column or a text that no
            picture has.
    """
    used, first, place = np.unique(sources, return_index=True, return_inverse=True)
    rows = [
        {**table[source], **_named(fields, labels[picture])}
        for source, picture in zip(used.tolist(), first.tolist(), strict=True)
    ]
    names = [field.name for field in fields]
    blank = {name for name in rows[0] if not any(row.get(name) for row in rows)} if rows else set()
    columns = [*names, *(name for name in rows[0] if name not in names)] if rows else names
    condition = parse_condition(
        text, [name for name in columns if name not in blank | {_NUMBERING}]
    )
    for column, value in dict.fromkeys(condition.equal):
        there = {row.get(column) or "" for row in rows}
        if value not in there:
            raise ImpastoError(f"no picture has {column} {near(value, there - {''})}")
    true = np.array([condition(row) for row in rows], bool)
    return condition.text, true[place]


def _named(fields: Sequence[Field], labels: np.ndarray) -> dict[str, str]:
    """By field: the class name for a picture's labels [F], blank if unknown."""
    return {
        field.name: field.classes[number] if number >= 0 else ""
        for field, number in zip(fields, labels.tolist(), strict=True)
    }


def parse_condition(text: str, columns: Sequence[str]) -> Condition:
    """Parse a condition, or a column and its text without quotes.

    Args:
        text: such as `style = 'Ukiyo-e'` or `style=Ukiyo-e`.
        columns: the known columns.

    Raises:
        ImpastoError: it cannot be parsed, or there is no such column.
    """
    try:
        return parse(text, columns)
    except ImpastoError:
        short = _SHORT.fullmatch(text)
        if short is None:
            raise
    quoted = short["text"].replace("'", "''")
    return parse(f"{short['column']} = '{quoted}'", columns)
