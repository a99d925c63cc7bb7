"""Messages of long work go through `logging`: quiet in a library, printed by commands."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

LOGGER = logging.getLogger("impasto")
LOGGER.addHandler(logging.NullHandler())


def say(text: str, *, aside: bool = False) -> None:
    """Report what long work has to say on its way, through `logging` (logger `impasto`, level INFO).

    A library's logger is quiet by default; the command line prints each message as a line.

    Args:
        text: the message.
        aside: it is no result, so that the command line prints it on the error stream.
    """
    LOGGER.info("%s", text, extra={"aside": aside})


class Printed(logging.Handler):
    """Prints messages as the command line does: on the output, and what is said aside on the error
    stream."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message. Where nobody reads the output any more (`| head -1`), the work goes on."""
        aside = getattr(record, "aside", record.levelno > logging.INFO)
        try:
            print(record.getMessage(), file=sys.stderr if aside else sys.stdout, flush=True)
        except BrokenPipeError:
            # For all that is printed later, too, and for what is still in the buffer.
            stream = sys.stderr if aside else sys.stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """Print what is said meanwhile, as the command line does."""
    handler, level = Printed(), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
