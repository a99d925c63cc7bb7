"""Among the pictures of many seeds, those that are most like a given picture of the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.features import FeatureNetwork
from impasto.networks import one_hot
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points, joined


@dataclass(frozen=True)
class Alike:
    """The pictures most like one, nearest first."""

    points: Points
    """[1 + K]: of the picture itself, and of the nearest ones."""
    distances: tuple[float, ...]
    """[K]: distances of their features from those of the picture."""
    usual: float
    """The median distance of all pictures that were compared."""

    @property
    def seeds(self) -> list[int]:
        """[K]: of the nearest ones."""
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
        wanted: a single point.
        seeds: to look among. The point's own picture is left out.
        labels: of the seeds, [N, F].
        network: whose features are compared.
        count: how many to find; fewer if there are no more seeds.
        progress: shows the pictures looked at.

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
    others, labels = [seeds[place] for place in places], labels[places]
    (own,) = painter.paint_points(wanted)
    centre = network(torch.from_numpy(own)).features
    found = []
    with progress("pictures looked at", len(places)) as update:
        for images in painter.paint(others, labels):
            found.append((network(torch.from_numpy(images)).features - centre).norm(dim=1))
            update(sum(map(len, found)))
    distances = torch.cat(found)
    nearest = distances.argsort(stable=True)[:count]
    chosen = painter.points([others[number] for number in nearest.tolist()], labels[nearest])
    return Alike(
        joined([wanted, chosen]), tuple(distances[nearest].tolist()), float(distances.median())
    )
