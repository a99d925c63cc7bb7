"""The pictures of a collection's training split as batches on the device, in their order."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.discriminator import spread
from impasto.formatting import counted
from impasto.resolution import Resolution, area, divided, times
from impasto.sampling.pixels import as_images
from impasto.training.order import TURNS, BucketOrder, EpochOrder, TurnOrder
from impasto.training.read_ahead import Batch, ReadAhead, SideStream

_AT_A_TIME = 64
_AHEAD = 2
"""Batches that are read ahead."""
_KEPT_BYTES = 2**25
"""Memory for pictures that are kept after they were used, for repeated requests."""


def pixels_of(views: Sequence[Collection], rows: np.ndarray) -> np.ndarray:
    """The pixels uint8 [B, H, W, 3] of pictures by their indices, all in one of these buckets."""
    view = next((view for view in views if len(rows) and rows[0] in view.span), views[0])
    return view.images(rows)


class TrainingPictures:
    """The training split of a collection as batches on the device.

    Args:
        collection: where the pictures are.
        fields: label fields that the networks are conditioned on.
        seed: of the order.
        device: of the batches.
        memory_format: of the batches.
        resolution: of the batches' pictures; those of a collection of a multiple of it are
            averaged down. By default the collection's.
        balance: a label field whose classes take turns. Pictures of unknown class count as one more
            class. None: every picture is used equally often.
        balance_by: how many turns each class has, a name in `order.TURNS`.
        buckets: sizes of the pictures, if there are several; each batch is of one of them.
        batch: number of pictures a batch.
    """

    encoding_seconds: float | None = None
    """How long it would take to encode the pictures, where that is needed and was not done."""

    def __init__(
        self,
        collection: Collection,
        fields: tuple[str, ...],
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format,
        *,
        resolution: Resolution | None = None,
        balance: str | None = None,
        balance_by: str = "equal",
        buckets: Sequence[Resolution] = (),
        batch: int = 1,
    ) -> None:
        self.collection = collection
        resolution = resolution or collection.resolution
        self.reduction = times(collection.resolution, resolution)
        self.views = [collection.view_for(size) for size in buckets] or [collection]
        self.rows = np.concatenate([view.train_indices for view in self.views])
        self.device = device
        self.memory_format = memory_format
        self.fields = fields
        columns = [collection.field(name) for name in fields]
        self.labels = torch.from_numpy(collection.labels[:, columns])
        if len(self.rows) == 0:
            raise ImpastoError(f"{collection.path} has no picture to train on")
        self.balance = balance
        self.balance_by = balance_by
        sizes = np.array([len(view.train_indices) for view in self.views])
        orders = [self._order_of(view.train_indices, seed) for view in self.views]
        self.order: EpochOrder | TurnOrder | BucketOrder = orders[0]
        if len(self.views) > 1:
            self.order = BucketOrder(orders, sizes, batch)
        self._last = 0
        """The run's number of the first picture of the latest batch."""
        self._read = self._reader()
        self._stream = SideStream(device) if device.type == "cuda" else None
        # A CPU computes the step with the same cores. Reading took 0.1% to 0.6% of a step there, and 8%
        # for flagship_128 from compressed pictures of 256 pixels.
        self._ahead = self._read_ahead() if device.type != "cpu" else None

    def __len__(self) -> int:
        return len(self.rows)

    def _order_of(self, rows: np.ndarray, seed: int) -> EpochOrder | TurnOrder:
        """The order of these rows."""
        if self.balance is None:
            return EpochOrder(len(rows), seed)
        classes = self.collection.labels[rows, self.collection.field(self.balance)]
        groups = [np.flatnonzero(classes == each) for each in np.unique(classes)]
        turns = TURNS[self.balance_by](np.array([len(group) for group in groups]))
        return TurnOrder(groups, turns, seed)

    def _send(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _read_ahead(self) -> ReadAhead:
        # The functions do not hold this object, so that the thread ends with it.
        read_some, labels, stream = self._read, self.labels, self._stream
        rows, order = self.rows, self.order

        def rows_of(start: int, count: int) -> np.ndarray:
            found: np.ndarray = rows[order.places(start, count)]
            return found

        def read(some: np.ndarray) -> Batch:
            batch = Batch(read_some(some), labels[some])
            return batch if stream is None else stream.send(batch)

        kept = _KEPT_BYTES // (3 * area(self.collection.resolution))
        return ReadAhead(rows_of, read, ahead=_AHEAD, kept=kept)

    def _reader(self) -> Callable[[np.ndarray], Tensor]:
        """A function from the indices of pictures to pixels uint8 [B, H, W, 3], or latents, on the CPU.

        It holds no reference to this object, so that the thread that reads ahead ends with it.
        """
        views = self.views
        return lambda rows: torch.from_numpy(pixels_of(views, rows))

    def _as_inputs(self, read: Tensor, mirrored: Tensor | None) -> Tensor:
        """The networks' inputs [B, C, h, w] of what the reader gave, mirrored left to right where
        `mirrored`, bool [B], is true."""
        images = self._images(read)
        if mirrored is None:
            return images
        return torch.where(mirrored[:, None, None, None], images.flip(3), images)

    def _images(self, pixels: Tensor) -> Tensor:
        """Images [B, 3, H, W] of pixels uint8 [B, H, W, 3] on the device."""
        images = as_images(pixels, self.reduction)
        return images.contiguous(memory_format=self.memory_format)

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        pixels = self._send(torch.from_numpy(pixels_of(self.views, rows)))
        return self._images(pixels), self._send(self.labels[rows])

    def shown(
        self, start: int, count: int, mirrored: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Training pictures number `start` to `start + count - 1` in the run's order.

        Args:
            start: number of the first picture, counted from the beginning of the run.
            count: how many; with buckets all of one batch.
            mirrored: bool [count]: which are mirrored left to right; None: none.

        Returns:
            Images [count, 3, H, W] in [-1, 1] and labels [count, F] int64, on the device.
        """
        self._last = start
        if self._ahead is None:
            rows = self.rows[self.order.places(start, count)]
            batch = Batch(self._send(self._read(rows)), self._send(self.labels[rows]))
        else:
            batch = self._ahead.batch(start, count)
            if self._stream is not None:
                self._stream.receive(batch)
        # On CUDA it is there already.
        inputs = self._as_inputs(batch.pixels.to(self.device), mirrored)
        return inputs, batch.labels.to(self.device)

    def once(self) -> Iterator[Tensor]:
        """Each training picture once, in the collection's order, as images [b, 3, H, W]."""
        for view in self.views:
            rows = view.train_indices
            for start in range(0, len(rows), _AT_A_TIME):
                yield self._batch(rows[start : start + _AT_A_TIME])[0]

    def random_labels(self, count: int) -> Tensor:
        """Labels [count, F] of random training pictures, drawn by torch's global generator.

        If classes take turns, the class of a random turn is drawn first. With several buckets, the
        pictures are those of the latest batch's bucket.
        """
        order, rows = self.order, self.rows
        if isinstance(order, BucketOrder):
            bucket = order.bucket(self._last)
            order, rows = order.orders[bucket], self.views[bucket].train_indices
        if isinstance(order, TurnOrder):
            turns = torch.randint(len(order.turns), (count,)).numpy()
            places = order.random_places(turns, torch.randint(2**62, (count,)).numpy())
        else:
            places = torch.randint(len(rows), (count,)).numpy()
        return self._send(self.labels[rows[places]])

    def classes_shown(self) -> list[tuple[str | None, int, float]]:
        """The balanced classes: of each its name (None: unknown), its number of training pictures, and
        its share of the pictures that are used, 0 to 1. Empty without balancing."""
        if self.balance is None or not isinstance(self.order, TurnOrder):
            return []
        column = self.collection.field(self.balance)
        names = self.collection.fields[column].classes
        found: list[tuple[str | None, int, float]] = []
        for group, share in zip(self.order.groups, self.order.shares(), strict=True):
            label = int(self.collection.labels[self.rows[group[0]], column])
            found.append((names[label] if label >= 0 else None, len(group), float(share)))
        return found

    def order_line(self) -> str:
        """A line that says how often each class is used, or which sizes batches have; '' without labels
        and buckets."""
        if isinstance(self.order, BucketOrder):
            sizes = ", ".join(
                f"{size:,} of {divided(view.resolution, self.reduction)}"
                for view, size in zip(self.views, self.order.sizes.tolist(), strict=True)
            )
            return f"each batch is of pictures of one size: {sizes} pixels"
        if shown := self.classes_shown():
            how = {"equal": "equally often", "square_root": "by the square root of its pictures"}
            rarest = min(shown, key=lambda each: each[1])
            most = max(shown, key=lambda each: each[1])

            def described(name: str | None, pictures: int, share: float) -> str:
                natural = pictures / len(self.rows)
                return (
                    f"{name or 'unknown'} ({counted(pictures, 'picture')}, {natural:.2%} of all, "
                    f"{share:.2%} of what is shown)"
                )

            return (
                f"each {self.balance} is shown {how[self.balance_by]}: {len(shown)} of them, from "
                f"{described(*rarest)} to {described(*most)}"
            )
        parts = []
        for field in self.collection.fields:
            known = [count for count in field.counts if count]
            if known and field.name in self.fields:
                unknown = len(self.rows) - sum(known)
                sizes = f"{min(known):,}"
                if len(known) > 1:
                    sizes += f" to {max(known):,}" if max(known) > min(known) else " each"
                parts.append(
                    f"{counted(len(known), f'{field.name} class')} of {sizes}"
                    + (f" and {unknown:,} unknown" if unknown else "")
                )
        return f"each picture is shown once an epoch: {', '.join(parts)}" if parts else ""

    def combinations(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct rows of labels of training pictures, [R, F], and the number of pictures of each
        size with each, [S, R]."""
        labels = self.labels[self.rows].numpy()
        rows, places = np.unique(labels, axis=0, return_inverse=True)
        ends = np.cumsum([len(view.train_indices) for view in self.views])[:-1]
        counts = [
            np.bincount(mine, minlength=len(rows)) for mine in np.split(places.reshape(-1), ends)
        ]
        return rows, np.stack(counts)

    def fixed(self, count: int, size: Resolution | None = None) -> tuple[Tensor, Tensor]:
        """`count` training pictures spread evenly over the split, the same ones at each call.

        With several buckets they are those of size `size`; None: the collection's own size.
        """
        view = self.collection if size is None else self.collection.view_for(size)
        return self._batch(spread(view.train_indices, count))
