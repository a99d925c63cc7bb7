"""Sums over the portions of a batch, the same for every number of processes.

A batch is cut into `training.accumulate` portions. What a portion computes depends only on the networks
at the beginning of the update, the seed, and the numbers of step, update and portion. Sums over portions
are taken in one order (`processes.tree_sum`). So a run does not depend on which process computes which
portion.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.processes import Processes

Counted = tuple[Tensor, Tensor]
"""A statistic of a portion: a sum and its count. Means divide the two after summing over portions."""


def seed_portion(seed: int, step: int, update: int, portion: int) -> None:
    """Seed torch on every device for one portion of one update, so that its randomness is its own."""
    words = np.random.SeedSequence([seed, step, update, portion]).generate_state(2, np.uint32)
    torch.manual_seed(int(words[0]) << 31 ^ int(words[1]))


class TreeSum:
    """The sum of lists of tensors that come one after another, in the order of `tree_sum`.

    It keeps one list for each power of two in their number.
    """

    def __init__(self) -> None:
        self._sums: list[tuple[int, list[Tensor]]] = []

    def add(self, values: list[Tensor]) -> None:
        count = 1
        while self._sums and self._sums[-1][0] == count:
            values = torch._foreach_add(self._sums.pop()[1], values)  # type: ignore[assignment]
            count *= 2
        self._sums.append((count, values))

    def total(self) -> list[Tensor]:
        _, total = self._sums.pop()
        while self._sums:
            total = torch._foreach_add(self._sums.pop()[1], total)  # type: ignore[assignment]
        return total


RUNNING_STATISTICS = ("running_mean", "running_var", "running_square")
"""Names of buffers that are averages, of batch norm and of terms; those of portions are averaged."""


class Buffers:
    """The buffers that a forward pass may change: running statistics, spectral norm's vectors.

    Args:
        networks: only their modules in training mode count, so frozen parts do not.
    """

    def __init__(self, *networks: nn.Module) -> None:
        # By module and name: a network may put a new tensor in a buffer's place.
        self._places = [
            (module, name)
            for network in networks
            for module in network.modules()
            if module.training
            for name, _ in module.named_buffers(recurse=False)
        ]

    def _named(self) -> list[tuple[str, Tensor]]:
        return [(name, getattr(module, name)) for module, name in self._places]

    @property
    def all(self) -> list[Tensor]:
        return [buffer for _, buffer in self._named()]

    @property
    def averaged(self) -> list[Tensor]:
        """Running statistics."""
        return [buffer for name, buffer in self._named() if name in RUNNING_STATISTICS]

    @property
    def others(self) -> list[Tensor]:
        """The others that are not integers."""
        return [
            buffer
            for name, buffer in self._named()
            if name not in RUNNING_STATISTICS and buffer.is_floating_point()
        ]

    def copy(self) -> list[Tensor]:
        return [buffer.clone() for buffer in self.all]

    def set(self, values: Sequence[Tensor]) -> None:
        """Overwrite the buffers with other values, also between a forward pass and its backward pass.

        Autograd takes these buffers for inputs of the backward pass, but in training mode none of
        them is used there: batch norm uses the batch's statistics, and spectral norm copies of its
        vectors. Hence `.data`, of which autograd keeps no count.
        """
        for buffer, value in zip(self.all, values, strict=True):
            buffer.data.copy_(value)


class BatchUpdate:
    """One update of a network by a batch in portions: it adds up the results of the portions.

    These are the gradients, running statistics (averaged), and recorded statistics. Other buffers,
    such as spectral norm's vectors, depend on weights only, not on pictures; those of the first portion
    are taken.

    Args:
        parameters: of the network that is updated; their gradients are None at the beginning.
        buffers: of all networks.
        processes: those that share the batch.
        portions: of the whole batch.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        buffers: Buffers,
        processes: Processes,
        portions: int,
    ) -> None:
        self.numbers = processes.portions(portions)
        self._parameters = parameters
        self._buffers = buffers
        self._processes = processes
        self._count = portions
        self._sum = TreeSum()
        self._trained: list[nn.Parameter] = []
        self._names: list[str] = []
        self._statistics: dict[str, Counted] = {}
        self.start = buffers.copy() if portions > 1 else None

    @contextlib.contextmanager
    def portion(self, number: int) -> Iterator[dict[str, Counted]]:
        """The block that computes one portion, up to its backward pass. It fills the dict that it gets
        with the portion's statistics."""
        statistics: dict[str, Counted] = {}
        if self.start is not None and number != self.numbers[0]:
            self._buffers.set(self.start)
        yield statistics
        if self.start is None:
            self._statistics = statistics
            return
        self._names = list(statistics)
        with torch.no_grad():
            trained = [p for p in self._parameters if p.grad is not None]
            if number != self.numbers[0] and list(map(id, trained)) != list(map(id, self._trained)):
                raise ImpastoError(
                    "some weights have a gradient in one portion of a batch and none in another, so "
                    "portions cannot be added up; set training.accumulate to 1, or let the network use "
                    "the same layers for every picture"
                )
            self._trained = trained
            gradients = [p.grad for p in trained]
            first = float(number == 0)
            others = [buffer * first for buffer in self._buffers.others]
            numbers = torch.stack([n.float() for pair in statistics.values() for n in pair])
            averaged = [buffer / self._count for buffer in self._buffers.averaged]
            self._sum.add([*gradients, *averaged, *others, numbers])  # type: ignore[list-item]
        for parameter in self._parameters:
            parameter.grad = None

    def finish(self) -> dict[str, Counted]:
        """Set the gradients and buffers of the whole batch in the networks; returns its statistics."""
        if self.start is None:
            return self._statistics
        *found, numbers = self._processes.sum(self._sum.total())
        places = iter(found)
        for parameter in self._trained:
            parameter.grad = next(places)
        for buffer in (*self._buffers.averaged, *self._buffers.others):
            buffer.data.copy_(next(places))
        pairs = numbers.view(-1, 2).unbind()
        return {n: (pair[0], pair[1]) for n, pair in zip(self._names, pairs, strict=True)}
