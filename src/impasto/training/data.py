"""In which order pictures are shown: a pure function of the seed and of how many were shown.

There is no sampler state to lose: picture number n of the run is place `n mod N` of epoch
`n div N`'s own permutation. Every picture is shown exactly once an epoch, whatever the batch: a
batch that reaches an epoch's end is filled up from the next.

With balanced classes, picture number n is of class `n mod K`, and each class goes through epochs of
its own.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError


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


class BalancedOrder:
    """The order of pictures whose classes take turns, each class in epochs of its own.

    Args:
        groups: the places of each class's pictures, an array [n_k] a class.
        seed: of their orders.
    """

    def __init__(self, groups: list[np.ndarray], seed: int) -> None:
        self.groups = groups
        self._orders = [EpochOrder(len(group), seed + k) for k, group in enumerate(groups)]
        self._joined = np.concatenate(groups)
        self._sizes = np.array([len(group) for group in groups])
        self._starts = np.cumsum(self._sizes) - self._sizes

    def places(self, start: int, count: int) -> np.ndarray:
        """Which of the pictures are number `start` to `start + count - 1`: [count]."""
        classes = len(self.groups)
        places = np.empty(count, np.int64)
        for offset in range(min(count, classes)):
            mine = places[offset::classes]
            turn, k = divmod(start + offset, classes)
            mine[:] = self.groups[k][self._orders[k].places(turn, len(mine))]
        return places

    def random_places(self, classes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """A picture [count] of each of these classes [count]; `numbers` [count] are random integers
        far larger than a class."""
        return self._joined[self._starts[classes] + numbers % self._sizes[classes]]


class TrainingPictures:
    """The training split of a collection as batches on the device.

    Args:
        collection: where the pictures are.
        fields: label fields the networks are conditioned on.
        seed: of the order.
        device: where batches go.
        memory_format: of the batches.
        resolution: side of the batches' pictures; those of a collection of a multiple of it are
            averaged down. By default the collection's.
        balance: a label field whose classes are shown equally often.
    """

    def __init__(
        self,
        collection: Collection,
        fields: tuple[str, ...],
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format,
        *,
        resolution: int | None = None,
        balance: str | None = None,
    ) -> None:
        self.collection = collection
        self.rows = collection.train_indices
        self.device = device
        self.memory_format = memory_format
        columns = [collection.field(name) for name in fields]
        self.labels = torch.from_numpy(collection.labels[:, columns])
        self.reduction = collection.resolution // (resolution or collection.resolution)
        if len(self.rows) == 0:
            raise ImpastoError(f"{collection.path} has no picture to train on")
        self.order: EpochOrder | BalancedOrder = EpochOrder(len(self.rows), seed)
        if balance is not None:
            classes = collection.labels[self.rows, collection.field(balance)]
            groups = [np.flatnonzero(classes == each) for each in np.unique(classes)]
            self.order = BalancedOrder(groups, seed)

    def __len__(self) -> int:
        return len(self.rows)

    def _send(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        # NHWC bytes travel; viewed as NCHW they are channels-last already.
        pixels = self._send(torch.from_numpy(self.collection.images(rows)))
        images = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        if self.reduction > 1:
            images = F.avg_pool2d(images, self.reduction)
        return images.contiguous(memory_format=self.memory_format), self._send(self.labels[rows])

    def shown(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Pictures number `start` and on of the run: images [count, 3, H, W] and labels [count, F]."""
        return self._batch(self.rows[self.order.places(start, count)])

    def random_labels(self, count: int) -> Tensor:
        """Labels [count, F] of random training pictures, by torch's random state; of a random class
        first, where classes are balanced."""
        if isinstance(self.order, BalancedOrder):
            classes = torch.randint(len(self.order.groups), (count,)).numpy()
            places = self.order.random_places(classes, torch.randint(2**62, (count,)).numpy())
        else:
            places = torch.randint(len(self.rows), (count,)).numpy()
        return self._send(self.labels[self.rows[places]])

    def combinations(self) -> tuple[np.ndarray, np.ndarray]:
        """The different rows of labels there are, [R, F], and how many pictures have each, [R]."""
        return np.unique(self.labels[self.rows].numpy(), axis=0, return_counts=True)

    def fixed(self, count: int, some: range | None = None) -> tuple[Tensor, Tensor]:
        """`count` pictures spread evenly over the split, the same ones every time; or some of them."""
        return self._batch(_spread(self.rows, count, some))

    def held_out(self, count: int, some: range | None = None) -> tuple[Tensor, Tensor]:
        """The same of the pictures that are kept from training."""
        return self._batch(_spread(self.collection.heldout_indices, count, some))


def _spread(rows: np.ndarray, count: int, some: range | None) -> np.ndarray:
    places = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
    return rows[places] if some is None else rows[places[some.start : some.stop]]
