"""Asking a training that runs to save, or to draw its grids, now, or to leave a checkpoint where it is:
by an empty file in its folder.

A training of one process looks once a second. What is asked changes no weight.
"""

import contextlib
import time
from pathlib import Path

from impasto.files import write_error

SAVE, SAMPLE = ".save-now", ".sample-now"
PAUSE = 1.0
"""Seconds between two looks, which may cost much on a network's file system."""
HOLD = ".hold"
"""In a checkpoint's folder."""
HELD_SECONDS = 3600
"""How long a checkpoint that is held is not removed."""


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


def hold(checkpoint: Path) -> None:
    """Ask that a checkpoint is not removed in the next hour, as training goes on. Where its folder
    cannot be written, it may be."""
    with contextlib.suppress(OSError):
        (checkpoint / HOLD).touch()


def is_held(checkpoint: Path) -> bool:
    """Whether somebody asked within the last hour that a checkpoint stays."""
    try:
        return time.time() - (checkpoint / HOLD).stat().st_mtime < HELD_SECONDS
    except OSError:
        return False


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
