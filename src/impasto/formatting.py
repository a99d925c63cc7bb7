"""Formatting of numbers, names and paths for people, and of text columns in a terminal; and lists of
names in a text."""

import re
import shlex
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from os import PathLike
from typing import Any

from impasto.errors import ImpastoError

_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters other than white space
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks
    "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb]"  # of zero width
)
"""Invisible characters that may reverse or break a line. It excludes the joiners that Persian,
Hindi and emoji need (U+200C, U+200D)."""
_LONGEST = 4_000
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")
_WORDS = {"overnight": 8 * 3600.0}


def readable_time(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def parse_time(text: str) -> float:
    """Seconds of a text such as `2h`, `30m`, `1h30m` or `overnight` (8 hours).

    Raises:
        ImpastoError: it is no such text, or less than a minute.
    """
    found = _TIME.fullmatch(text.strip().lower())
    seconds = _WORDS.get(text.strip().lower(), 0.0)
    if found is not None:
        hours, minutes, rest = (float(part or 0) for part in found.groups())
        seconds = seconds or 3600 * hours + 60 * minutes + rest
    if seconds < 60:
        raise ImpastoError(
            f"--time is how long to train, such as 30m, 2h or overnight, from a minute up, not '{text}'"
        )
    return seconds


def readable_size(count: int) -> str:
    """Bytes as `512 MB` or `48.2 GB`, in powers of ten."""
    if count < 999.5e6:
        return f"{max(count / 1e6, 1):,.0f} MB"
    return f"{count / 1e9:,.1f} GB"


def percent(share: float) -> str:
    """`0.4%`, `9.9%`, `12%`: below a tenth with one decimal."""
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def counted(count: int, noun: str) -> str:
    """`1 picture`, `4,474 pictures`, `3 classes`."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def terminal_width(text: str) -> int:
    """Columns of a text in a terminal: two for each Chinese, Japanese or Korean character and
    each emoji, none for accents."""
    width = 0
    for letter in text:
        if unicodedata.category(letter) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return width


def padded(text: str, width: int) -> str:
    """A text padded with spaces to `width` columns of a terminal."""
    return text + " " * (width - terminal_width(text))


def one_line(text: str) -> str:
    """Text as one line: each run of spaces, tabs and line breaks becomes one space. Control
    characters, direction marks and characters of zero width are removed."""
    if text.isprintable() and "  " not in text:
        return text.strip()  # The quick path, for almost all names.
    text = _UNSEEN.sub("", text).encode("utf-8", "replace").decode()
    return " ".join(text.split())


def as_message(text: str) -> str:
    """A message as one line for a terminal: without control characters, and cut where it is too long,
    since it may quote a file from anybody."""
    line = _UNSEEN.sub("", " ".join(text.splitlines())).encode("utf-8", "replace").decode()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def error_text(error: BaseException) -> str:
    """An error's text as one line, or its kind if it has none."""
    return one_line(str(error)) or type(error).__name__


def comma_separated(text: str) -> list[str]:
    """The names in a text such as `style, genre`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def quoted(path: str | PathLike[str]) -> str:
    """A path or another word quoted for a shell command; unchanged if it has no special characters."""
    text = str(path)
    # A word that begins with a dash would be parsed as an option.
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def titled(name: str, condition: str | None) -> str:
    """A collection's name, with the condition of a part: `paintings (only style = 'Realism')`."""
    return name if condition is None else f"{name} (only {condition})"


def begun_with(run: Mapping[str, Any]) -> str:
    """The model that a run started from, and the layers of its generator that were kept, as its
    `run.json` says; empty if it started from none."""
    started = run.get("started_from")
    if not isinstance(started, dict) or started.get("model") is None:
        return ""
    seen, layers = started.get("images_seen"), started.get("generator")
    if not isinstance(seen, int):
        return ""
    kept, partly, new = (
        len(layers.get(fate) or []) if isinstance(layers, dict) else 0
        for fate in ("kept", "partly", "new")
    )
    return (
        f"{started['model']} ({started.get('recipe')}, {seen:,} images seen): "
        f"{kept} of {kept + partly + new} layers of its generator kept"
    )


def parse_count(text: str | int) -> int:
    """Parse `200000`, `200k` or `1.5M`; a number is returned unchanged.

    Raises:
        ImpastoError: it is no such number, or below one.
    """
    if isinstance(text, int):
        return text
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text if scale == 1 else text[:-1]
    try:
        value = Decimal(digits) * scale
    except ArithmeticError:
        value = Decimal(-1)
    if not value.is_finite() or not 1 <= value < 10**15 or value != int(value):
        raise ImpastoError(f"--images is a number of pictures such as 200k or 1.5M, not '{text}'")
    return int(value)
