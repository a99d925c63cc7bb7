"""Names that file managers and browsers give to copies."""

import re

_COPY = re.compile(
    r"copy of .+"  # earlier Windows
    r"|.+ - copy( \(\d+\))?"  # Windows
    r"|.+ copy( \d+)?"  # macOS
    r"|.+ \((\d+|(\w+ )?copy( \d+)?)\)",  # browsers, and the desktops of Linux
    re.IGNORECASE,
)


def is_named_a_copy(name: str) -> bool:
    """Whether the file name of a path in a source is that of a copy, as in `folder/fox (1).jpg`."""
    stem = re.sub(r"\.\w{1,5}$", "", name.rpartition("/")[2])
    return _COPY.fullmatch(stem) is not None
