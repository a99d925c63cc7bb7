"""Pictures once past each feature network, in bounded memory."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.features import FeatureNetwork
from impasto.metrics import Moments, Sample

KEPT = 50_000
"""Pictures whose features are kept, at most: at 2,048 floats each some 400 MB. Of more, the mean and
the covariance of all are gathered too, which is what a Fréchet distance needs. Extra pictures of rare
classes are kept besides."""

Update = Callable[[int], None]
"""Is told how many are done."""
Progress = Callable[[str, int], contextlib.AbstractContextManager[Update]]
"""Shows a stretch of work: what is counted, and how many there are."""


@contextlib.contextmanager
def silent(what: str, total: int) -> Iterator[Update]:
    """Shows nothing."""
    yield lambda done: None


def kept_numbers(total: int, first: int | None = None) -> np.ndarray:
    """The numbers [N], in order, of the pictures whose features are kept.

    Args:
        total: how many pictures there are.
        first: so many are what overall scores are of, by default all; those after them are extra.

    Returns:
        All; but of more than `KEPT` first ones so many chosen at random, always the same ones: in
        their own order, folders or collections may come class by class.
    """
    first = total if first is None else first
    if first <= KEPT:
        return np.arange(total)
    some = np.sort(np.random.default_rng(0).choice(first, KEPT, replace=False))
    return np.concatenate([some, np.arange(first, total)])


class _Gathered:
    """What one network says of the pictures seen so far."""

    def __init__(self, width: int, kept: np.ndarray, first: int) -> None:
        self._features: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._kept = kept
        self._seen = 0
        self._width, self._first = width, first
        self._moments = first > KEPT
        if self._moments:
            self._sum = torch.zeros(width, dtype=torch.float64)
            self._squares = torch.zeros(width, width, dtype=torch.float64)
            self._middle = torch.zeros(width, dtype=torch.float64)

    def add(self, features: Tensor, logits: Tensor | None) -> None:
        start, self._seen = self._seen, self._seen + len(features)
        if self._moments and start < self._first:
            exact = features[: self._first - start].double()
            if start == 0:
                # Sums are taken about the first batch's mean: squares about nought would lose digits.
                self._middle = exact.mean(dim=0)
            exact = exact - self._middle
            self._sum += exact.sum(dim=0)
            self._squares.addmm_(exact.T, exact)
        between = slice(*np.searchsorted(self._kept, (start, self._seen)))
        places = torch.from_numpy(self._kept[between] - start)
        self._features.append(features[places])  # a copy: what is left out is let go
        if logits is not None:
            self._logits.append(logits[places])

    def sample(self) -> Sample:
        moments = None
        if self._moments:
            count = self._first
            mean = self._sum / count
            scatter = self._squares - count * torch.outer(mean, mean)
            moments = Moments(count, mean + self._middle, scatter / (count - 1))
        features = torch.cat(self._features) if self._features else torch.zeros(0, self._width)
        return Sample(features, torch.cat(self._logits) if self._logits else None, moments)


def gather(
    batches: Iterable[Tensor],
    networks: Sequence[FeatureNetwork],
    total: int,
    *,
    first: int | None = None,
    what: str = "pictures",
    progress: Progress = silent,
) -> list[Sample]:
    """The features of the pictures, a sample a network: those of `kept_numbers`.

    Args:
        batches: uint8 [B, H, W, 3] each; every one is made once and shown to all networks.
        networks: who looks at them.
        total: how many pictures there will be.
        first: so many are what overall scores are of, and moments; by default all.
        what: they are called in the progress shown.
        progress: shows it.
    """
    kept = kept_numbers(total, first)
    of_all = total if first is None else first
    gathered = [_Gathered(network.width, kept, of_all) for network in networks]
    done = 0
    with progress(what, total) as update:
        for pixels in batches:
            for network, each in zip(networks, gathered, strict=True):
                found = network(pixels)
                each.add(found.features, found.logits)
            done += len(pixels)
            update(done)
    return [each.sample() for each in gathered]
