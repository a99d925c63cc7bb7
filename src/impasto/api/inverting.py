"""The points nearest to given pictures: `invert`."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from impasto.device import choose_device
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.inverting import Inversion, Inverter, Search
from impasto.exploring.targets import read_targets
from impasto.features import load_network
from impasto.sampling import Model
from impasto.sampling.painter import Painter


def invert(
    model: str | PathLike[str] | Model,
    pictures: Iterable[str | PathLike[str]] | np.ndarray,
    *,
    fit: str = "crop",
    steps: int = 250,
    starts: int = 3,
    candidates: int = 1024,
    levels: bool = False,
    device: str = "auto",
    batch: int = 16,
    progress: Progress = silent,
) -> Inversion:
    """The points of a model whose pictures are nearest to given ones; `.points.save` keeps them.

    Args:
        model: a loaded model, which keeps its device; or a run, a checkpoint, a model folder, or the
            word `masters`.
        pictures: files; or uint8 [N, H, W, 3] of the model's resolution.
        fit: how files become square: `crop`, `squash` or `pad`.
        steps: of gradient descent, from the best start.
        starts: starts to try for each picture, with 0.3 as many steps each.
        candidates: seeds that the starts are chosen from.
        levels: give each level of the generator a latent of its own. Nearer, and less like the model.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.
        progress: shows candidates and steps.

    Raises:
        ImpastoError: no model, one that makes a picture in many steps, or no picture.
    """
    if not isinstance(model, Model):
        model = Model.load(model, choose_device(device))
    painter = Painter.of(model, batch=batch)
    search = Search(steps, starts, candidates, levels)
    network = load_network("lite0", device=painter.sampler.device)
    inverter = Inverter(painter, search, network)
    side = model.record.resolution
    if not isinstance(pictures, np.ndarray):
        files = [Path(path).expanduser() for path in pictures]
        pictures = read_targets(files, side, fit)
    return inverter.invert(pictures, progress)
