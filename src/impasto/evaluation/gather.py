"""Pictures once past each feature network, in bounded memory."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from impasto.features import FeatureNetwork
from impasto.metrics import Moments, Sample

KEPT = 50_000
"""Pictures whose features are kept, at most: at 2,048 floats each some 400 MB. Of more, the mean and
the covariance of all are gathered too, which is what a Fréchet distance needs."""

Update = Callable[[int], None]
"""Is told how many are done."""
Progress = Callable[[str, int], contextlib.AbstractContextManager[Update]]
"""Shows a stretch of work: what is counted, and how many there are."""


@contextlib.contextmanager
def silent(what: str, total: int) -> Iterator[Update]:
    """Shows nothing."""
    yield lambda done: None


class _Gathered:
    """What one network says of the pictures seen so far."""

    def __init__(self, width: int, *, moments: bool) -> None:
        self._features: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._kept = self._count = 0
        self._width, self._moments = width, moments
        if moments:
            self._sum = torch.zeros(width, dtype=torch.float64)
            self._squares = torch.zeros(width, width, dtype=torch.float64)
            self._middle = torch.zeros(width, dtype=torch.float64)

    def add(self, features: Tensor, logits: Tensor | None) -> None:
        if self._moments:
            exact = features.double()
            if self._count == 0:
                # Sums are taken about the first batch's mean: squares about nought would lose digits.
                self._middle = exact.mean(dim=0)
            exact = exact - self._middle
            self._sum += exact.sum(dim=0)
            self._squares.addmm_(exact.T, exact)
        self._count += len(features)
        some = KEPT - self._kept
        if some > 0:
            # A copy, so that what is left out of the last batch is let go.
            self._features.append(features[:some].clone())
            if logits is not None:
                self._logits.append(logits[:some].clone())
            self._kept += min(some, len(features))

    def sample(self) -> Sample:
        moments = None
        if self._moments and self._count > self._kept:
            mean = self._sum / self._count
            scatter = self._squares - self._count * torch.outer(mean, mean)
            moments = Moments(self._count, mean + self._middle, scatter / (self._count - 1))
        features = torch.cat(self._features) if self._features else torch.zeros(0, self._width)
        return Sample(features, torch.cat(self._logits) if self._logits else None, moments)


def gather(
    batches: Iterable[Tensor],
    networks: Sequence[FeatureNetwork],
    total: int,
    *,
    what: str = "pictures",
    progress: Progress = silent,
) -> list[Sample]:
    """The features of all pictures, a sample a network.

    Args:
        batches: uint8 [B, H, W, 3] each; every one is made once and shown to all networks.
        networks: who looks at them.
        total: how many pictures there will be.
        what: they are called in the progress shown.
        progress: shows it.
    """
    gathered = [_Gathered(network.width, moments=total > KEPT) for network in networks]
    done = 0
    with progress(what, total) as update:
        for pixels in batches:
            for network, each in zip(networks, gathered, strict=True):
                found = network(pixels)
                each.add(found.features, found.logits)
            done += len(pixels)
            update(done)
    return [each.sample() for each in gathered]
