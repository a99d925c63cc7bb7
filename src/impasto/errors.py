"""The one exception that is meant for the user's eyes."""


class ImpastoError(Exception):
    """Something the user can put right.

    The message is one line that says what is wrong, where, and what to do. The command line prints
    it without a traceback and ends with `exit_code`.
    """

    exit_code = 2


class StoppedError(ImpastoError):
    """Training ended because it was asked to (Ctrl-C, SIGTERM); a checkpoint is saved."""

    exit_code = 130  # what shells expect of a program that Ctrl-C has ended


def choices(names: list[str]) -> str:
    """Name the valid choices for an error message: `a, b, c`, or `none` where there are none."""
    return ", ".join(sorted(names)) if names else "none"
