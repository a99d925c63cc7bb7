"""Search the pictures of many seeds for those that are most similar to a given picture of the model."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.features import FeatureNetwork
from impasto.files import atomic_file, cache_folder
from impasto.networks import one_hot
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, joined
from impasto.sampling.tensors import read_tensors, write_tensors

MOST_KEPT = 10_000
"""Pictures whose features are kept in the cache: 5 kB each."""


@dataclass(frozen=True)
class Alike:
    """The pictures most similar to a given one, nearest first."""

    points: Points
    """[1 + K]: the points of the given picture, and of the nearest ones."""
    distances: tuple[float, ...]
    """[K]: distances of their features from those of the picture."""
    usual: float
    """The median distance of all pictures that were compared."""

    @property
    def seeds(self) -> list[int]:
        """[K]: seeds of the nearest pictures."""
        return [origin.seed for origin in self.points.origins[1:] if origin.seed is not None]

    def lines(self) -> list[str]:
        """A line for each, and one for comparison."""
        rows = [
            f"seed {seed}: {distance:.2f}"
            for seed, distance in zip(self.seeds, self.distances, strict=True)
        ]
        return [*rows, f"half of all are {self.usual:.2f} away or more"]


def most_alike(
    painter: Painter,
    wanted: Points,
    seeds: Sequence[int],
    labels: Tensor,
    network: FeatureNetwork,
    *,
    count: int,
    progress: Progress = silent,
) -> Alike:
    """The pictures of seeds that are most like one, by features.

    Args:
        painter: of the model.
        wanted: the given picture, a single point.
        seeds: the N seeds to search. The given picture itself is left out.
        labels: labels of the seeds, [N, F].
        network: the feature network whose features are compared.
        count: number of pictures to find; fewer are found if there are no more seeds.
        progress: shows the number of pictures that were searched.

    Raises:
        ImpastoError: several points, no seeds to look among, or a count below 1.
    """
    if count < 1:
        raise ImpastoError(f"how many to find is from 1, not {count}")
    if len(wanted) != 1:
        raise ImpastoError(f"pictures are compared with one, not with {len(wanted)}")
    origin = wanted.origins[0]
    itself = origin.seed if origin.truncation == painter.truncation and not origin.edits else None
    own_classes = one_hot(labels, painter.record.label_sizes) == wanted.classes
    places = [
        place
        for place, (seed, same) in enumerate(zip(seeds, own_classes.all(1).tolist(), strict=True))
        if not (same and seed == itself)
    ]
    if not places:
        raise ImpastoError("there are no other seeds to look among")
    plain = replace(painter, finish=None, stages=False)  # as they come from the generator
    (own,) = plain.paint_points(wanted)
    centre = network(torch.from_numpy(own)).features
    found = [
        (features - centre).norm(dim=1)
        for features in _features(plain, seeds, labels, network, progress)
    ]
    distances = torch.cat(found)[places]
    others, labels = [seeds[place] for place in places], labels[places]
    nearest = distances.argsort(stable=True)[:count]
    chosen = painter.points([others[number] for number in nearest.tolist()], labels[nearest])
    return Alike(
        joined([wanted, chosen]), tuple(distances[nearest].tolist()), float(distances.median())
    )


def _features(
    painter: Painter,
    seeds: Sequence[int],
    labels: Tensor,
    network: FeatureNetwork,
    progress: Progress,
) -> Iterator[Tensor]:
    """The features [B, D] of the pictures of all seeds, in batches. Those of up to `MOST_KEPT` seeds are
    kept in the cache, where the next search among the same ones finds them."""
    path = _entry(painter, seeds, labels, network) if len(seeds) <= MOST_KEPT else None
    if path is not None:
        with suppress(ImpastoError):  # not there, or damaged
            kept = read_tensors(path)["features"]
            if len(kept) == len(seeds):
                yield kept
                return
    found: list[Tensor] = []
    with progress("pictures looked at", len(seeds)) as update:
        done = 0
        for images in painter.paint(seeds, labels):
            features = network(torch.from_numpy(images)).features
            if path is not None:
                found.append(features)
            done += len(features)
            update(done)
            yield features
    if path is not None:
        with atomic_file(path) as temporary:
            write_tensors(temporary, {"features": torch.cat(found)})


def _entry(painter: Painter, seeds: Sequence[int], labels: Tensor, network: FeatureNetwork) -> Path:
    """The file in the cache, named by all that the features depend on."""
    key = {
        "model": painter.record.weights_sha256,
        "generator": painter.record.generator.model_dump(mode="json"),
        "made with": painter.made_with,
        "precision": painter.sampler.precision,
        "device": painter.sampler.device.type,
        "truncation": painter.truncation,
        "network": network.identity,
        "seeds": list(seeds),
        "labels": labels.tolist(),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return (
        cache_folder()
        / "likeness"
        / f"{painter.record.weights_sha256[:16]}-{digest[:32]}.safetensors"
    )
