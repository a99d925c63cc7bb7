"""Asking a training that runs to save, or to draw its grids, now: by an empty file in its folder.

A training of one process looks once a second. What is asked changes no weight.
"""

import contextlib
import time
from pathlib import Path

from impasto.files import write_error

SAVE, SAMPLE = ".save-now", ".sample-now"
PAUSE = 1.0
"""Seconds between two looks, which may cost much on a network's file system."""


def ask(run: Path, what: str) -> None:
    """Ask a run, or the stage that trains.

    Args:
        run: its folder.
        what: `SAVE` or `SAMPLE`.

    Raises:
        ImpastoError: its folder cannot be written.
    """
    try:
        (run / what).touch()
    except OSError as error:
        raise write_error(error, run / what) from error


class Asked:
    """What is asked of a run, each time once.

    Args:
        run: its folder. What was asked before this training is forgotten.
        alone: whether it trains in one process; several would have to agree in every step.
    """

    def __init__(self, run: Path, *, alone: bool) -> None:
        self.run = run
        self.alone = alone
        self._next = 0.0
        if alone:
            self._take()

    def now(self) -> set[str]:
        """What was asked since the last look; nothing more than once a second."""
        if not self.alone or time.monotonic() < self._next:
            return set()
        self._next = time.monotonic() + PAUSE
        return self._take()

    def _take(self) -> set[str]:
        found = set()
        for what in (SAVE, SAMPLE):
            with contextlib.suppress(OSError):
                (self.run / what).unlink()
                found.add(what)
        return found
