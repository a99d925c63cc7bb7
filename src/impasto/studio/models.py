"""Loaded models: the newest few stay in memory, so that a slider does not wait for the disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError

if TYPE_CHECKING:  # torch is imported when the first picture is asked for
    from impasto.sampling import Model
    from impasto.sampling.painter import Painter
    from impasto.sampling.step_settings import StepSettings

MOST_MODELS = 3
MOST_WAITING = 64
"""Requests that may wait for their turn to compute."""


class BusyError(ImpastoError):
    """Too many requests wait for a turn."""


@dataclass(frozen=True)
class _Key:
    folder: Path
    changed: int
    """When its record was written last; a run's folder of a checkpoint is never written again."""
    how: StepSettings


class Models:
    """Models by folder and settings. One request computes at a time.

    Args:
        device: that they compute on.
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._loaded: OrderedDict[_Key, Model] = OrderedDict()
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn to compute.

        Raises:
            BusyError: too many wait already.
        """
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many pictures are asked for at once; ask again in a moment")
        try:
            with self._turn:
                yield
        finally:
            self._waiting.release()

    @contextmanager
    def painter(
        self, folder: Path, how: StepSettings, truncation: float | None
    ) -> Iterator[Painter]:
        """The painter of a model folder, for the length of one request's turn.

        Raises:
            ImpastoError: there is no model, or it is damaged; or too many requests wait.
        """
        with self.turn():
            from impasto.sampling.painter import Painter

            yield Painter.of(self._model(folder, how), truncation=truncation)

    def _model(self, folder: Path, how: StepSettings) -> Model:
        from impasto.device import choose_device
        from impasto.sampling import Model

        key = _Key(folder, (folder / "model.json").stat().st_mtime_ns, how)
        if key not in self._loaded:
            self._loaded[key] = Model.load(folder, choose_device(self.device), **vars(how))
        self._loaded.move_to_end(key)
        while len(self._loaded) > MOST_MODELS:
            self._loaded.popitem(last=False)
        return self._loaded[key]
