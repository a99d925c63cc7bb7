"""Records during training: averaged statistics, sample grids, TensorBoard."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.sampling.grid import grid_picture


class Averages:
    """Means and maxima over an interval, accumulated on the device and read once at its end."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._largest: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, statistics: dict[str, Tensor]) -> None:
        for name, value in statistics.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
                self._largest[name] = torch.full_like(value, -torch.inf)
                self._counts[name] = torch.zeros_like(value)
            # A NaN accuracy (no pictures) is skipped; a NaN loss must show.
            counts = ~value.isnan() if name.startswith("accuracy/") else torch.ones_like(value)
            self._sums[name] += torch.where(counts > 0, value, 0.0)
            self._largest[name] = torch.maximum(self._largest[name], value)
            self._counts[name] += counts

    def read(self) -> dict[str, float]:
        """Means, and maxima of the losses as `.../max`; starts a new interval."""
        if not self._sums:
            return {}
        names = list(self._sums)
        table = torch.stack(
            [torch.stack([self._sums[n] / self._counts[n], self._largest[n]]) for n in names]
        ).tolist()
        self._begin()
        row = {
            name: mean
            for name, (mean, _) in zip(names, table, strict=True)
            if not (name.startswith("accuracy/") and math.isnan(mean))
        }
        for name, (_, largest) in zip(names, table, strict=True):
            if name.startswith("loss/"):
                row[f"{name}/max"] = largest
        return row


def diversity(images: Tensor) -> float:
    """Mean distance between two of the pictures [B, 3, H, W] in [-1, 1]: the root mean square
    difference after averaging to 16 pixels a side, as a share of the range; 0: all equal."""
    if len(images) < 2:
        return 0.0
    small = F.adaptive_avg_pool2d(images.float() / 2, min(16, images.shape[-1])).flatten(1)
    return float(torch.pdist(small.cpu()).mean() / small.shape[1] ** 0.5)


def require_tensorboard() -> Any:
    """The writer's class.

    Raises:
        ImpastoError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImpastoError(
            "TensorBoard is not installed: pip install 'impasto[tensorboard]', or train without "
            "--tensorboard"
        ) from None
    return SummaryWriter


class TensorBoard:
    """Writes rows and grids for TensorBoard, if requested (extra `tensorboard`)."""

    def __init__(self, run: Path, images_seen: int) -> None:
        # Events after `images_seen` of an interrupted session will be written again.
        self._writer = require_tensorboard()(str(run), purge_step=images_seen + 1)

    def row(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "images_seen" and isinstance(value, float):
                self._writer.add_scalar(name, value, row["images_seen"])

    def grid(self, images: np.ndarray, images_seen: int, columns: int) -> None:
        picture = np.asarray(grid_picture(images, columns))
        self._writer.add_image("samples", picture, images_seen, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


@contextlib.contextmanager
def board_of(run: Path, images_seen: int, *, wanted: bool) -> Iterator[TensorBoard | None]:
    """A run's TensorBoard writer if wanted, closed at the end."""
    board = TensorBoard(run, images_seen) if wanted else None
    try:
        yield board
    finally:
        if board is not None:
            board.close()
