"""Pivotal tuning: fine-tune a generator on given pictures (Roich et al. 2021, arXiv:2106.05744, section
3.2).

The points nearest to the pictures (the pivots) are fixed, and the generator's weights are trained until
it paints the pictures at these points. A regularisation term keeps its pictures at other points as they
were: at random seeds, and at points between these and the pivots (section 3.3).
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.evaluation.gather import Progress, silent
from impasto.exploring.curves import between
from impasto.exploring.descent import Comparison, pixel_errors
from impasto.exploring.inverting import Inversion, distances_of
from impasto.features import FeatureNetwork
from impasto.files import atomic_folder
from impasto.networks import one_hot
from impasto.networks._frozen_features import FrozenFeatures
from impasto.resolution import square_of
from impasto.sampling.model import Model, ModelRecord, TunedRecord
from impasto.sampling.painter import Painter
from impasto.sampling.pixels import as_images
from impasto.sampling.points import Points, at_levels
from impasto.threads import chosen_threads

STEPS = 200
"""Steps for each batch of pictures."""
_RATE = 2e-4
_HELD = 4
"""Least number of other points in each step; there is at least one for each picture."""
_HOLDING = 10.0
"""Weight of the regularisation term: the change of pictures at other points."""
_FIRST_SEED = 2**31
"""First seed of the other points, far from the seeds that people usually look at."""
_READ_AT = (64, 128)
"""Least and largest side at which the frozen network reads pictures."""


@dataclass(frozen=True)
class Tuned:
    """A model tuned to N pictures."""

    model: Model
    """Its record has no digest of the weights before they are written."""
    inversion: Inversion
    """The inversion of the pictures; its last pictures are those of the tuned model."""


class _Others:
    """Points other than the given ones, some at each step."""

    def __init__(self, painter: Painter, points: Points) -> None:
        self._painter = painter
        self._points = points
        self._generator = painter.sampler.generator
        self._device = painter.sampler.device
        self._random = torch.Generator().manual_seed(0)
        self._next = _FIRST_SEED

    @torch.no_grad()
    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, class weights and the pictures of the model before: half of seeds, half of points
        between a given one and a seed."""
        seeds = list(range(self._next, self._next + count))
        self._next += count
        record = self._painter.record
        weights = one_hot(self._painter.labels(seeds, {}), record.label_sizes)
        latents = self._painter.latents(seeds)
        near = torch.randint(len(self._points), (count,), generator=self._random)
        shares = torch.rand(count, generator=self._random)
        shares[: count // 2] = 1.0
        starts = self._points.latents[near]
        if starts.ndim == 3:
            latents = at_levels(latents, starts.shape[1])
        along = shares.view(-1, *[1] * (starts.ndim - 1))
        mixed = between(starts, latents, along, distribution=record.latent.distribution)
        weights = torch.lerp(self._points.classes[near], weights, shares[:, None])
        mixed, weights = mixed.to(self._device), weights.to(self._device)
        return mixed, weights, self._generator(mixed, weights)


def tuned(
    painter: Painter,
    model: Model,
    inversion: Inversion,
    targets: np.ndarray,
    names: Sequence[str],
    network: FeatureNetwork,
    *,
    progress: Progress = silent,
) -> Tuned:
    """Tune a model to pictures at their points. The model itself stays as it is.

    Args:
        painter: of the model.
        model: of one step.
        inversion: of the pictures.
        targets: the pictures, uint8 [N, H, W, 3].
        names: of the pictures.
        network: whose features distances are measured in.
        progress: shows the steps.
    """
    device = painter.sampler.device
    generator = copy.deepcopy(model.generator).eval().requires_grad_(True).to(device)
    adam = torch.optim.Adam(generator.parameters(), lr=_RATE, betas=(0.9, 0.99))
    low, high = _READ_AT
    features = (
        FrozenFeatures(min(max(2 * square_of(model.record.resolution), low), high))
        .to(device)
        .eval()
    )
    images = as_images(torch.from_numpy(targets).to(device))
    points = inversion.points
    others = _Others(painter, points)
    parts = [slice(start, start + painter.batch) for start in range(0, len(images), painter.batch)]
    comparisons = [Comparison(features, images[part]) for part in parts]
    total = STEPS * len(parts)
    with (
        progress("tuning steps", total) as update,
        chosen_threads("step", free=device.type == "cpu") as threads,
    ):
        for step in range(total):
            place = step % len(parts)
            some = points[parts[place]]
            adam.param_groups[0]["lr"] = _RATE * min(1.0, 2 * (total - step) / total)
            with threads.unit():
                latents, weights, before = others.draw(max(_HELD, len(some)))
                found = generator(some.latents.to(device), some.classes.to(device))
                loss = comparisons[place].losses(found).sum()
                loss = loss + _HOLDING * pixel_errors(generator(latents, weights) - before).sum()
                adam.zero_grad()
                loss.backward()
                adam.step()
            update(step + 1)
    record = _record(model.record, targets, names, total)
    bent = Model(generator.to("cpu").requires_grad_(False), record, model.device)
    end = np.concatenate(list(Painter.of(bent, batch=painter.batch).paint_points(points)))
    way = np.concatenate([inversion.way, end[None]])
    distances = torch.cat([inversion.distances, distances_of(network, end[None], targets)])
    moments = (*inversion.moments, "tuned")
    return Tuned(bent, replace(inversion, way=way, moments=moments, distances=distances))


def _record(
    record: ModelRecord, targets: np.ndarray, names: Sequence[str], steps: int
) -> ModelRecord:
    """The record of the tuned model: its pictures are sources of unknown licence."""
    collection = record.collection
    licences = {**collection.licences}
    licences["unknown"] = licences.get("unknown", 0) + len(targets)
    own = TunedRecord(
        model=record.weights_sha256,
        pictures=tuple(names),
        sha256=tuple(hashlib.sha256(each.tobytes()).hexdigest() for each in targets),
        steps=steps,
    )
    return record.model_copy(
        update={
            "collection": collection.model_copy(
                update={"licences": licences, "sources": collection.sources + len(targets)}
            ),
            "tuned": (*record.tuned, own),
            "weights_sha256": "",
            "discriminator_sha256": None,
        }
    )


def save_tuned(bent: Tuned, folder: Path) -> Inversion:
    """Write the tuned model as a model folder; gives the inversion with points that belong to it.

    Raises:
        ImpastoError: the folder exists already, or cannot be written.
    """
    with atomic_folder(folder) as temporary:
        Model.write(temporary, bent.model.generator.state_dict(), bent.model.record)
    written = ModelRecord.of(folder)
    points = bent.inversion.points.changed(model=written.weights_sha256)
    return replace(bent.inversion, points=points)
