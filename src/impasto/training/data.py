"""In which order pictures are shown: a pure function of the seed and of how many were shown.

There is no sampler state to lose: picture number n of the run is place `n mod N` of epoch
`n div N`'s own permutation. Every picture is shown exactly once an epoch, whatever the batch: a
batch that reaches an epoch's end is filled up from the next.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError


def shown_places(start: int, count: int, size: int, seed: int) -> np.ndarray:
    """Which of `size` pictures are number `start` to `start + count - 1` of the run: [count]."""
    numbers = np.arange(start, start + count)
    places = np.empty(count, np.int64)
    for epoch in np.unique(numbers // size):
        order = _order(size, seed, int(epoch))
        mine = numbers // size == epoch
        places[mine] = order[numbers[mine] % size]
    return places


# A batch touches two epochs at most; drawing the order of a million pictures takes 50 ms.
@functools.lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(size)


class TrainingPictures:
    """The training split of a collection as batches on the device.

    Args:
        collection: where the pictures are.
        fields: label fields the networks are conditioned on.
        seed: of the order.
        device: where batches go.
        memory_format: of the batches.
    """

    def __init__(
        self,
        collection: Collection,
        fields: tuple[str, ...],
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format,
    ) -> None:
        self.collection = collection
        self.rows = collection.train_indices
        self.seed = seed
        self.device = device
        self.memory_format = memory_format
        columns = [collection.field(name) for name in fields]
        self.labels = torch.from_numpy(collection.labels[:, columns])
        if len(self.rows) == 0:
            raise ImpastoError(f"{collection.path} has no picture to train on")

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
        return images.contiguous(memory_format=self.memory_format), self._send(self.labels[rows])

    def shown(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Pictures number `start` and on of the run: images [count, 3, H, W] and labels [count, F]."""
        places = shown_places(start, count, len(self.rows), self.seed)
        return self._batch(self.rows[places])

    def random_labels(self, count: int) -> Tensor:
        """Labels [count, F] of random training pictures, by torch's random state."""
        places = torch.randint(len(self.rows), (count,)).numpy()
        return self._send(self.labels[self.rows[places]])

    def fixed(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` pictures spread evenly over the split, the same ones every time."""
        places = np.linspace(0, len(self.rows) - 1, count).round().astype(np.int64)
        return self._batch(self.rows[places])
