"""Messages of long work go through `logging`: quiet in a library, printed by commands."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

LOGGER = logging.getLogger("impasto")
LOGGER.addHandler(logging.NullHandler())


def say(text: str, *, to_stderr: bool = False) -> None:
    """Log a message of long work (logger `impasto`, level INFO).

    A library's logger is quiet by default; the command line prints each message as a line.

    Args:
        text: the message.
        to_stderr: print it on the error stream, because it is not a result.
    """
    LOGGER.info("%s", text, extra={"to_stderr": to_stderr})


class Printed(logging.Handler):
    """Prints messages for the command line, on the output or the error stream."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message. A closed output (`| head -1`) does not stop the work."""
        to_stderr = getattr(record, "to_stderr", record.levelno > logging.INFO)
        try:
            print(record.getMessage(), file=sys.stderr if to_stderr else sys.stdout, flush=True)
        except BrokenPipeError:
            # Covers later prints too, and what is still in the buffer.
            stream = sys.stderr if to_stderr else sys.stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """Print messages during a block, as the command line does."""
    handler, level = Printed(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
