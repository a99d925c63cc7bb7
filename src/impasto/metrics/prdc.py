"""Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1 and 2), density and
coverage (Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4). The ball of an image has the distance
to its k-th nearest neighbour on the same side as its radius:

- precision: the share of generated images that are in the ball of any real image (quality);
- recall: the share of real images that are in the ball of any generated image (variety);
- density: the mean number of real balls that a generated image is in, divided by k. Above 1,
  generated images concentrate where real ones are dense. It is less sensitive to the large ball
  of an outlier than precision;
- coverage: the share of real balls with a generated image in them; 1 - coverage is the share of
  modes that are missing.

All depend on the counts, recall and coverage strongly: compare only at equal counts. None of them
detects copies of the training images, which have the best scores.

Kynkäänniemi et al. use k = 3 and Naeem et al. k = 5. Here all four scores use k = 5; `nearest_k =
3` gives torch-fidelity's scores. An image exactly on the boundary of a ball is outside, as in the
code of Naeem et al. This only matters with more than k copies of one image.
"""

import math

import torch
from torch import Tensor

from impasto.metrics import Prepared, Sample
from impasto.metrics._pairs import blocks, squared_distances

NEAREST_K = 5

NEEDS = ("features",)
LEAST = (NEAREST_K + 1, NEAREST_K + 1)
LIMIT = 10_000


def ranges(width: int) -> dict[str, tuple[float, float]]:
    return {"precision": (0, 1), "recall": (0, 1), "density": (0, math.inf), "coverage": (0, 1)}


def warning(fakes: int, reals: int, width: int) -> str | None:
    fewest = min(fakes, reals)
    if fewest >= 20 * NEAREST_K:
        return None
    return (
        f"{fewest} pictures are few: the balls of {NEAREST_K} neighbours among them are wide, "
        "compare only at equal counts"
    )


def prepare(fake: Sample, real: Sample, nearest_k: int = NEAREST_K) -> Prepared:
    # All distances are squared, in float64. They do not depend on the origin. Rounding errors are
    # least near the mean.
    centre = real.features.mean(0, dtype=torch.float64)
    fakes, reals = fake.features.double() - centre, real.features.double() - centre
    count = len(fakes)
    radii = _nearest(reals, nearest_k)[0][:, -1]
    apart = torch.cat([squared_distances(reals[block], fakes) for block in blocks(len(reals))])
    in_real_ball = apart < radii[:, None]
    real_balls = in_real_ball.sum(0)
    # A generated image's ball grows when its neighbours are left out. So more than k are kept, enough
    # for leaving out a twentieth. Where they do not suffice, neighbours are computed again.
    reach, neighbours = _nearest(fakes, min(6 * nearest_k, count - 1))

    def fake_radii(kept: Tensor) -> Tensor:
        """Squared radii [N]; negative, a ball without points, for images left out."""
        found = torch.full((count,), -1.0, dtype=torch.float64)
        rank = kept[neighbours].cumsum(1)
        if bool((rank[kept, -1] >= nearest_k).all()):
            place = (rank >= nearest_k).int().argmax(1)
            found[kept] = reach.gather(1, place[:, None]).flatten()[kept]
        else:
            found[kept] = _nearest(fakes[kept], nearest_k)[0][:, -1]
        return found

    def values(keep: Tensor) -> dict[str, float]:
        kept = torch.zeros(count, dtype=torch.bool)
        kept[keep] = True
        balls = fake_radii(kept)
        recalled = covered = 0
        for block in blocks(len(reals)):
            recalled += int((apart[block] < balls).any(1).sum())
            covered += int((in_real_ball[block] & kept).any(1).sum())
        return {
            "precision": float((real_balls[keep] > 0).double().mean()),
            "recall": recalled / len(reals),
            "density": float(real_balls[keep].double().mean()) / nearest_k,
            "coverage": covered / len(reals),
        }

    return values


def _nearest(points: Tensor, many: int) -> tuple[Tensor, Tensor]:
    """Squared distances to the nearest other points and their indices, nearest first: [N, many]
    each."""
    found = []
    for block in blocks(len(points)):
        distances = squared_distances(points[block], points)
        distances.diagonal(block.start).fill_(math.inf)
        found.append(distances.topk(many, dim=1, largest=False, sorted=True))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])
