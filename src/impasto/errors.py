"""Errors that are reported to users in one line."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class ImpastoError(Exception):
    """An error that the user can correct.

    The message is one line with what is wrong, where, and what to do. The command line prints it
    without a traceback and exits with `exit_code`.
    """

    exit_code = 2
    silent = False
    """Whether another process of the same run prints it."""
    agreed = False
    """Whether all processes of the run raise it."""


_EXTRAS = {"torch": "torch", "jinja2": "report", "markupsafe": "report", "matplotlib": "report"}
"""Packages that are imported without further ado, with the extras that install them."""


def missing_package(what: str, error: ModuleNotFoundError) -> ImpastoError | None:
    """The error of a command or a function that needs a package of an extra; None for other modules."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return None
    return ImpastoError(
        f"{what} needs {package}, which is not installed: pip install 'impasto[{_EXTRAS[package]}]'"
    )


class StoppedError(ImpastoError):
    """Training was stopped on request (Ctrl-C, SIGTERM) after saving a checkpoint, or while encoding.

    Args:
        message: what was saved and how to go on.
        ended: whether the request was SIGTERM, to which a program that has saved its work answers with
            exit code 0: `torchrun` and batch systems take any other for a failure.
    """

    exit_code = 130  # the shells' exit code for programs stopped by Ctrl-C

    def __init__(self, message: str, *, ended: bool = False) -> None:
        super().__init__(message)
        if ended:
            self.exit_code = 0


def lacks_memory(error: BaseException) -> bool:
    """Whether an error means that there is not enough memory. It may be Python's, NumPy's or
    torch's, which on a CPU is a plain RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    phrases = (
        "can't allocate memory",
        "not enough memory",
        "out of memory",
        "cannot allocate memory",
    )
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in phrases)


def choices(names: list[str]) -> str:
    """The valid choices for an error message: `a, b, c`, or `none` if there are none."""
    return ", ".join(sorted(names)) if names else "none"


_WORDS = {
    "tuple_type": "should be a list, such as [this, that]",
    "model_type": "should be a section, such as '{name: value, ...}'",
    "too_short": "should have at least one entry",
    "missing": "is missing",
    "extra_forbidden": "there is no such setting",
}


def in_words(error: Mapping[str, Any]) -> str:
    """The message for an entry of pydantic's `errors()`."""
    text: str = error["msg"]
    return _WORDS.get(error["type"], text.removeprefix("Value error, "))


_LISTED = 12
_COMPARED = 5_000


def near(name: str, names: Iterable[str]) -> str:
    """A wrong name with suggestions for an error message: `'Rococco'; did you mean Rococo?`, or
    with the first of all valid names."""
    known = sorted(set(names))
    same = [other for other in known if other.casefold() == name.casefold()]
    # Comparison with a hundred thousand names would take seconds.
    some = known if len(known) <= _COMPARED else []
    close = same or difflib.get_close_matches(name, some, n=3)
    if close:
        return f"'{name}'; did you mean {' or '.join(close)}?"
    more = f" and {len(known) - _LISTED:,} others" if len(known) > _LISTED else ""
    return f"'{name}'; there is {choices(known[:_LISTED])}{more}"
