"""The one exception that is meant for the user's eyes."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class ImpastoError(Exception):
    """Something the user can put right.

    The message is one line that says what is wrong, where, and what to do. The command line prints
    it without a traceback and ends with `exit_code`.
    """

    exit_code = 2


class StoppedError(ImpastoError):
    """Training ended because it was asked to (Ctrl-C, SIGTERM); a checkpoint is saved."""

    exit_code = 130  # what shells expect of a program that Ctrl-C has ended


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory: Python's, NumPy's or torch's, which on a
    CPU is a RuntimeError like any other."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    said = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(words in text for words in said)


def choices(names: list[str]) -> str:
    """Name the valid choices for an error message: `a, b, c`, or `none` where there are none."""
    return ", ".join(sorted(names)) if names else "none"


_WORDS = {
    "tuple_type": "should be a list, such as [this, that]",
    "model_type": "should be a section, such as '{name: value, ...}'",
    "too_short": "should have at least one entry",
    "missing": "is missing",
    "extra_forbidden": "there is no such setting",
}


def in_words(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, of an entry of pydantic's `errors()`."""
    text: str = error["msg"]
    return _WORDS.get(error["type"], text.removeprefix("Value error, "))


_LISTED = 12
_COMPARED = 5_000


def near(name: str, names: Iterable[str]) -> str:
    """A wrong name with what there is instead, for an error message: `'Rococco'; did you mean Rococo?`,
    or the first of all there are."""
    known = sorted(set(names))
    same = [other for other in known if other.casefold() == name.casefold()]
    # Comparing with a hundred thousand titles would take seconds.
    some = known if len(known) <= _COMPARED else []
    close = same or difflib.get_close_matches(name, some, n=3)
    if close:
        return f"'{name}'; did you mean {' or '.join(close)}?"
    more = f" and {len(known) - _LISTED:,} others" if len(known) > _LISTED else ""
    return f"'{name}'; there is {choices(known[:_LISTED])}{more}"
