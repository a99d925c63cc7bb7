"""Numbers as people say them, the same everywhere; and columns of text in a terminal."""

import unicodedata


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


def counted(count: int, noun: str) -> str:
    """`1 picture`, `4,474 pictures`, `3 classes`."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def terminal_width(text: str) -> int:
    """Columns that a text takes in a terminal: two for each Chinese, Japanese or Korean letter and each
    emoji, none for accents."""
    width = 0
    for letter in text:
        if unicodedata.category(letter) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return width


def padded(text: str, width: int) -> str:
    """A text with blanks after it, so that it takes `width` columns of a terminal."""
    return text + " " * (width - terminal_width(text))
