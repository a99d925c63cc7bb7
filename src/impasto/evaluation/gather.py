"""Compute features of pictures by several networks, in bounded memory."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import Extracted, FeatureNetwork
from impasto.metrics import Moments, Sample
from impasto.processes import ALONE, Processes
from impasto.threads import chosen_threads

KEPT = 50_000
"""Most pictures whose features are kept: some 400 MB at 2,048 floats each. Of more pictures, the
mean and covariance of all are computed too, for the Fréchet distance. Extra pictures of rare
classes are kept in addition."""

Update = Callable[[int], None]
"""Called with the number of pictures done."""
Progress = Callable[[str, int], contextlib.AbstractContextManager[Update]]
"""Opens a progress display, from a label and the total."""


@contextlib.contextmanager
def silent(what: str, total: int) -> Iterator[Update]:
    """A progress display that shows nothing."""
    yield lambda done: None


def kept_numbers(total: int, first: int | None = None) -> np.ndarray:
    """The numbers [N], rising, of the pictures whose features are kept.

    Args:
        total: how many pictures there are.
        first: the number of pictures for overall scores, by default all; the others are extra.

    Returns:
        All; of more than `KEPT` first ones a fixed random choice, since folders and collections may
        be sorted by class.
    """
    first = total if first is None else first
    if first <= KEPT:
        return np.arange(total)
    some = np.sort(np.random.default_rng(0).choice(first, KEPT, replace=False))
    return np.concatenate([some, np.arange(first, total)])


class _Gathered:
    """One network's features of the pictures so far."""

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
                # Sums are about the first batch's mean; squares about 0 would lose digits.
                self._middle = exact.mean(dim=0)
            exact = exact - self._middle
            self._sum += exact.sum(dim=0)
            self._squares.addmm_(exact.T, exact)
        between = slice(*np.searchsorted(self._kept, (start, self._seen)))
        places = torch.from_numpy(self._kept[between] - start)
        self._features.append(features[places])  # a copy frees the rest
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
    processes: Processes = ALONE,
) -> list[Sample]:
    """The features of the pictures in `kept_numbers`, one sample for each network.

    Args:
        batches: uint8 [B, H, W, 3] each; each is used once, for all networks. Of several processes, the
            one of rank r gives the batches number r, r + count, r + 2 count, ...
        networks: the feature networks.
        total: the number of pictures.
        first: the number of pictures for overall scores and moments; by default all.
        what: the label of the progress display.
        progress: shows it.
        processes: that share the work; the samples of all but the first are empty.

    Raises:
        ImpastoError: a batch cannot be made, in one of the processes.
    """
    kept = kept_numbers(total, first)
    of_all = total if first is None else first
    gathered = [_Gathered(network.width, kept, of_all) for network in networks]
    done = 0
    own = iter(batches)
    alone = processes.count == 1 and all(each.device.type == "cpu" for each in networks)

    def extract() -> list[Extracted] | ImpastoError | None:
        """Each network's features of the next batch of this process; None after the last batch."""
        try:
            with threads.unit():
                pixels = next(own, None)
                return None if pixels is None else [network(pixels) for network in networks]
        except ImpastoError as error:
            if processes.count == 1:
                raise
            return error

    with progress(what, total) as update, chosen_threads("batch", free=alone) as threads:
        while any(found := processes.gather(extract())):
            for features in found:
                if features is None:
                    continue
                if isinstance(features, ImpastoError):
                    raise processes.agreed(features)
                done += len(features[0].features)
                for each, some in zip(gathered if processes.first else (), features, strict=False):
                    each.add(some.features, some.logits)
            update(done)
    return [each.sample() for each in gathered]
