"""Texts from elsewhere, such as names of classes and artists, in Markdown."""

import re
from collections.abc import Iterable, Sequence

from impasto.formatting import one_line

_SPECIAL = re.compile(r"[\\`*{}\[\]<>#|~&$@^]|:(?=\S)|\b_|_\b|(?<=_)_")
"""What begins emphasis, code, HTML, links, cells, formulas or emoji within a line of Markdown."""
_ADDRESS = re.compile(r"\b(www)\.", re.IGNORECASE)


def plain(text: str) -> str:
    """A text as one line of Markdown that shows exactly it: no formatting, HTML, link, table cell or
    formula begins in it. It is not to stand at the beginning of a line."""
    escaped = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", one_line(text))
    return _ADDRESS.sub(r"\1&#46;", escaped)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; cells are Markdown."""
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
