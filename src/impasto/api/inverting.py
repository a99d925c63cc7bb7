"""The points nearest to given pictures: `invert`."""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from impasto.device import choose_device
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.inverting import Inversion, Inverter, Search
from impasto.exploring.targets import read_targets
from impasto.exploring.tuning import save_tuned, tuned
from impasto.features import load_network
from impasto.files import check_new
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
    tune: str | PathLike[str] | None = None,
    device: str = "auto",
    batch: int = 16,
    progress: Progress = silent,
) -> Inversion:
    """The points of a model whose pictures are nearest to given ones; `.points.save` keeps them.

    Args:
        model: a loaded model, which keeps its device; or a run, a checkpoint, a model folder, a
            model of the hub as `hf:OWNER/NAME`, or the word `masters`.
        pictures: files; or uint8 [N, H, W, 3] of the model's resolution.
        fit: how files get the model's size: `crop`, `squash` or `pad`.
        steps: of gradient descent, from the best start.
        starts: starts to try for each picture, with 0.3 as many steps each.
        candidates: number of seeds from which the starts are chosen.
        levels: find a latent for each level of the generator: closer to the pictures, but less like what
            the model makes from seeds.
        tune: a new folder for a copy of the model whose generator is fine-tuned on the pictures. The
            points then belong to this copy.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.
        progress: shows candidates and steps.

    Raises:
        ImpastoError: no model, a flow model, no picture, or the folder exists.
    """
    if not isinstance(model, Model):
        model = Model.load(model, choose_device(device))
    if isinstance(pictures, np.ndarray):
        # A copy, since torch warns of arrays that cannot be written to.
        targets = np.array(pictures)
        names = [f"picture {number + 1}" for number in range(len(pictures))]
    else:
        files = [Path(path).expanduser() for path in pictures]
        targets = read_targets(files, model.record.resolution, fit)
        names = [file.name for file in files]
    search = Search(steps, starts, candidates, levels)
    return invert_images(model, targets, names, search, tune=tune, batch=batch, progress=progress)


def invert_images(
    model: Model,
    targets: np.ndarray,
    names: Sequence[str],
    search: Search,
    *,
    tune: str | PathLike[str] | None = None,
    batch: int,
    progress: Progress = silent,
) -> Inversion:
    """`invert` with a loaded model and decoded pictures.

    Args:
        model: any but a flow model.
        targets: uint8 [N, H, W, 3] of the model's resolution.
        names: names of the N pictures, for the record of a tuned model.
        search: settings of the search.
        tune: see `invert`.
        batch: see `invert`.
        progress: see `invert`.
    """
    folder = None if tune is None else Path(tune).expanduser()
    if folder is not None:
        check_new(folder)
    painter = Painter.of(model, batch=batch)
    network = load_network("lite0", device=painter.sampler.device)
    found = Inverter(painter, search, network).invert(targets, progress)
    if folder is None:
        return found
    result = tuned(painter, model, found, targets, names, network, progress=progress)
    return save_tuned(result, folder)
