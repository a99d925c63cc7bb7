"""In which order pictures are shown: a pure function of the seed and of how many were shown.

There is no sampler state to lose: picture number n of the run is place `n mod N` of epoch
`n div N`'s own permutation. Every picture is shown exactly once an epoch, whatever the batch: a
batch that reaches an epoch's end is filled up from the next.

Where classes take turns, picture number n is of class `turns[n mod P]`, P the turns of a period, and
each class goes through epochs of its own.
"""

from collections.abc import Sequence

import numpy as np

_PERIOD = 2**14
"""Turns of a period, about, where classes have more or fewer of them."""


class EpochOrder:
    """The order in which `size` pictures are shown, epoch after epoch.

    Drawing the order of a million pictures takes 50 ms, so that of the two epochs that a batch can
    touch is kept.
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
        """Which of the pictures are number `start` to `start + count - 1`: [count]."""
        numbers = np.arange(start, start + count)
        places = np.empty(count, np.int64)
        for epoch in np.unique(numbers // self.size):
            mine = numbers // self.size == epoch
            places[mine] = self._order(int(epoch))[numbers[mine] % self.size]
        return places


class TurnOrder:
    """The order of pictures whose classes take turns, each class in epochs of its own.

    Args:
        groups: the places of each class's pictures, an array [n_k] a class.
        turns: of a period: the class of each, [P]; `equal_turns` or `square_root_turns`.
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
        """Turns of each class in a period, [K]."""
        by_class = np.argsort(turns, kind="stable")
        first = np.cumsum(self._each) - self._each
        self._nth = np.empty(len(turns), np.int64)
        """How many turns its class had before in the period, [P]."""
        self._nth[by_class] = np.arange(len(turns)) - np.repeat(first, self._each)

    def shares(self) -> np.ndarray:
        """Each class's share of what is shown, [K]."""
        return self._each / len(self.turns)

    def places(self, start: int, count: int) -> np.ndarray:
        """Which of the pictures are number `start` to `start + count - 1`: [count]."""
        period, turn = np.divmod(np.arange(start, start + count), len(self.turns))
        classes = self.turns[turn]
        numbers = period * self._each[classes] + self._nth[turn]
        places = np.empty(count, np.int64)
        for k in np.unique(classes):
            mine = classes == k
            # A class's own numbers are consecutive: every turn is counted.
            first = int(numbers[mine][0])
            places[mine] = self.groups[k][self._orders[k].places(first, int(mine.sum()))]
        return places

    def random_places(self, turns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """A picture [count] of the classes of these turns [count] of a period; `numbers` [count] are
        random integers far larger than a class."""
        classes = self.turns[turns]
        return self._joined[self._starts[classes] + numbers % self._sizes[classes]]


def equal_turns(sizes: np.ndarray) -> np.ndarray:
    """One turn for each of the K classes of `sizes` pictures: int64 [K]."""
    return np.arange(len(sizes))


def square_root_turns(sizes: np.ndarray) -> np.ndarray:
    """Turns in proportion to the square root of a class's pictures: half way between showing every
    picture as often and every class as often (square-root sampling, Kang et al. 2020,
    arXiv:1910.09217, equation 1 with q = 1/2).

    Turn j of a class's m is due at (j + 1/2) / m of the period, so that they are spread evenly and
    every stretch, such as a batch, has nearly its share of each class.

    Args:
        sizes: [K], each above 0.

    Returns:
        The class of each turn, int64 [P], P about 2^14 or, of more classes, as many as needed for
        the rarest to have one. A class's turns are its share of P, rounded.
    """
    weights = np.sqrt(sizes)
    each = np.maximum(1, np.rint(_PERIOD * weights / weights.sum())).astype(np.int64)
    classes = np.repeat(np.arange(len(sizes)), each)
    turn = np.arange(len(classes)) - np.repeat(np.cumsum(each) - each, each)
    return classes[np.argsort((turn + 0.5) / each[classes], kind="stable")]


TURNS = {"equal": equal_turns, "square_root": square_root_turns}
"""By what `training.balance_by` may be."""
