"""The order of training pictures: a pure function of the seed and the number of pictures so far.

There is no sampler state: picture number n of the run is at position `n mod N` of the permutation
of epoch `n div N`. Every picture is used exactly once an epoch; a batch at an epoch's end is filled
from the next.

With balancing, picture number n is of class `turns[n mod P]`, P the period, and each class has its
own epochs.
"""

from collections.abc import Sequence

import numpy as np

_PERIOD = 2**14
"""The approximate period if classes have different numbers of turns."""
_BUCKET_PERIOD = 2**9
"""The approximate period of buckets, in batches."""


class EpochOrder:
    """The order of `size` pictures over epochs.

    The orders of two epochs are cached, since drawing that of a million pictures takes 50 ms.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self._orders: dict[int, np.ndarray] = {}

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            if len(self._orders) == 2:
                del self._orders[min(self._orders)]
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        return self._orders[epoch]

    def places(self, start: int, count: int) -> np.ndarray:
        """The indices [count] of pictures number `start` to `start + count - 1`."""
        numbers = np.arange(start, start + count)
        places = np.empty(count, np.int64)
        for epoch in np.unique(numbers // self.size):
            mine = numbers // self.size == epoch
            places[mine] = self._order(int(epoch))[numbers[mine] % self.size]
        return places


class TurnOrder:
    """The order of pictures with balanced classes, each class in its own epochs.

    Args:
        groups: the indices of each class's pictures, an array [n_k] for each class.
        turns: [P], the classes of a period; from `equal_turns` or `square_root_turns`.
        seed: of the classes' orders.
    """

    def __init__(self, groups: Sequence[np.ndarray], turns: np.ndarray, seed: int) -> None:
        self.groups = groups
        self.turns = turns
        self._orders = [EpochOrder(len(group), seed + k) for k, group in enumerate(groups)]
        self._joined = np.concatenate(groups)
        self._sizes = np.array([len(group) for group in groups])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._each = np.bincount(turns, minlength=len(groups))
        """The number of turns of each class in a period, [K]."""
        by_class = np.argsort(turns, kind="stable")
        first = np.cumsum(self._each) - self._each
        self._nth = np.empty(len(turns), np.int64)
        """The number of earlier turns of the same class in the period, [P]."""
        self._nth[by_class] = np.arange(len(turns)) - np.repeat(first, self._each)

    def shares(self) -> np.ndarray:
        """Each class's share of training, [K]."""
        return self._each / len(self.turns)

    def places(self, start: int, count: int) -> np.ndarray:
        """The indices [count] of pictures number `start` to `start + count - 1`."""
        period, turn = np.divmod(np.arange(start, start + count), len(self.turns))
        classes = self.turns[turn]
        numbers = period * self._each[classes] + self._nth[turn]
        places = np.empty(count, np.int64)
        for k in np.unique(classes):
            mine = classes == k
            # The numbers within a class are consecutive.
            first = int(numbers[mine][0])
            places[mine] = self.groups[k][self._orders[k].places(first, int(mine.sum()))]
        return places

    def random_places(self, turns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Random pictures [count] of the classes of these turns [count]; `numbers` [count] are
        random integers far larger than a class."""
        classes = self.turns[turns]
        return self._joined[self._starts[classes] + numbers % self._sizes[classes]]


class BucketOrder:
    """The order of pictures in several buckets: each batch is of one of them.

    Buckets take turns in proportion to their pictures, spread evenly, and each has its own epochs.
    Places are those of the buckets' pictures one after another.

    Args:
        orders: of each bucket's own pictures.
        sizes: [K]: the number of pictures of each.
        batch: pictures a batch; the run's pictures number n * batch and on are its batch n.
    """

    def __init__(
        self, orders: Sequence[EpochOrder | TurnOrder], sizes: np.ndarray, batch: int
    ) -> None:
        self.orders = orders
        self.sizes = sizes
        self.batch = batch
        self.starts = np.cumsum(sizes) - sizes
        self.turns = _in_turns(sizes, _BUCKET_PERIOD)
        self._each = np.bincount(self.turns, minlength=len(sizes))
        same = self.turns[:, None] == self.turns[None]
        self._nth = np.tril(same, -1).sum(axis=1)
        """The number of earlier turns of the same bucket in the period."""

    def bucket(self, number: int) -> int:
        """The bucket of picture number `number`, and of its whole batch."""
        return int(self.turns[number // self.batch % len(self.turns)])

    def places(self, start: int, count: int) -> np.ndarray:
        """The places [count] of pictures number `start` to `start + count - 1`, which are of one batch.

        Raises:
            ValueError: they are not.
        """
        number, within = divmod(start, self.batch)
        if within + count > self.batch:
            raise ValueError(f"pictures {start} to {start + count - 1} are of several batches")
        period, turn = divmod(number, len(self.turns))
        bucket = self.turns[turn]
        batches = period * self._each[bucket] + self._nth[turn]
        mine = self.orders[bucket].places(int(batches) * self.batch + within, count)
        places: np.ndarray = self.starts[bucket] + mine
        return places


def equal_turns(sizes: np.ndarray) -> np.ndarray:
    """One turn for each of the K classes of `sizes` pictures: int64 [K]."""
    return np.arange(len(sizes))


def square_root_turns(sizes: np.ndarray) -> np.ndarray:
    """Turns in proportion to the square root of a class's pictures, between equal pictures and
    equal classes (square-root sampling, Kang et al. 2020, arXiv:1910.09217, equation 1 with q =
    1/2).

    Turn j of a class's m is at (j + 1/2) / m of the period, so turns are evenly spread and every
    batch has nearly its share of each class.

    Args:
        sizes: [K], each above 0.

    Returns:
        The class of each turn, int64 [P], with P about 2^14, or more if the rarest class needs it.
        A class's number of turns is its share of P, rounded.
    """
    return _in_turns(np.sqrt(sizes), _PERIOD)


def _in_turns(weights: np.ndarray, period: int) -> np.ndarray:
    """Turns in proportion to weights [K], each evenly spread, in a period of about so many: [P]."""
    each = np.maximum(1, np.rint(period * weights / weights.sum())).astype(np.int64)
    classes = np.repeat(np.arange(len(weights)), each)
    turn = np.arange(len(classes)) - np.repeat(np.cumsum(each) - each, each)
    return classes[np.argsort((turn + 0.5) / each[classes], kind="stable")]


TURNS = {"equal": equal_turns, "square_root": square_root_turns}
"""By value of `training.balance_by`."""
