"""The one exception that is meant for the user's eyes."""


class ImpastoError(Exception):
    """Something the user can put right.

    The message is one line that says what is wrong, where, and what to do. The command line prints
    it without a traceback and ends with exit code 2.
    """


def choices(names: list[str]) -> str:
    """Name the valid choices for an error message: `a, b, c`, or `none` where there are none."""
    return ", ".join(sorted(names)) if names else "none"
