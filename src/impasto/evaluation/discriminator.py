"""Evaluate a discriminator outside its training steps, on each picture independently.

In training a discriminator sees batches of real pictures and batches of generated ones, and batch norm
normalises each batch by its own mean and variance. The running statistics that batch norm uses in
evaluation mode are averages over both kinds, which fit neither. Here statistics are measured when
needed, over `MEASURED` fixed pictures of one kind in fixed batches (Wu and Johnson 2021,
arXiv:2105.07576, section 3: mean and variance pooled over batches, not a moving average). So the
output depends on the picture alone, not on its batch.

- Real pictures use the statistics of training pictures: in `impasto classify`, `evaluate`, and for
  held-out pictures in training.
- Generated pictures use the statistics of generated pictures: in `--curate`, and for the grid in
  training.

A minibatch deviation is a batch statistic too, and is treated in the same way.

Pictures get the noise of training (`training.real_noise`, `training.fake_noise`), because a
discriminator that never saw a real picture without noise takes it for a generated one.
Augmentations are left out. Weights, running statistics and torch's random state do not change.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.device import on_cpu
from impasto.networks._layers import Deviation
from impasto.resolution import Resolution, times
from impasto.sampling.pixels import as_images

MEASURED = 128
"""Most pictures that statistics are measured on: about a large training batch, and cheap enough for
every sample grid."""
BATCH = 64
"""Batch size for measuring statistics, independent of a command's `--batch`."""

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def norms_of(discriminator: nn.Module) -> dict[str, Norm]:
    """The batch norms of a discriminator, by path."""
    return {
        path: module
        for path, module in discriminator.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }


def deviations_of(discriminator: nn.Module) -> dict[str, Deviation]:
    """The minibatch deviations of a discriminator, by path."""
    return {
        path: module
        for path, module in discriminator.named_modules()
        if isinstance(module, Deviation)
    }


def depends_on_batch(discriminator: nn.Module) -> bool:
    """Whether a discriminator's output depends on batch statistics."""
    return bool(norms_of(discriminator) or deviations_of(discriminator))


@dataclass(frozen=True)
class Statistics:
    """The statistics of one kind of picture in all layers that use batch statistics."""

    norms: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Mean and variance [C] at each batch norm used."""
    deviations: dict[str, Tensor] = field(default_factory=dict)
    """The value of each minibatch deviation."""


def _pooled(each: list[int], means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance [C] over all batches, from each one's number of values a channel [N], means
    [N, C] and variances [N, C]."""
    counts = torch.tensor(each, dtype=torch.float64)
    shares = (counts / counts.sum())[:, None]
    means, variances = means.double(), variances.double()  # on the CPU: MPS has no float64
    mean = (shares * means).sum(dim=0)
    return mean, (shares * (variances + (means - mean).square())).sum(dim=0)


@torch.no_grad()
def measure(discriminator: nn.Module, batches: Iterable[Tensor], fields: int) -> Statistics:
    """Measure the statistics of pictures, normalising each batch by its own, as in training.

    Args:
        discriminator: its dropout and noise are off meanwhile; it is not changed.
        batches: images [B, 3, H, W]; not read if nothing depends on the batch.
        fields: the number of the discriminator's label fields; all labels are given as unknown.
    """
    norms, deviations = norms_of(discriminator), deviations_of(discriminator)
    if not norms and not deviations:
        return Statistics()
    counts: dict[str, list[int]] = {}
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
    spread: dict[str, list[Tensor]] = {}

    def note_values(path: str, values: Tensor) -> None:
        variance, mean = torch.var_mean(
            values.float(), dim=(0, *range(2, values.dim())), correction=0
        )
        counts.setdefault(path, []).append(values.numel() // values.shape[1])
        seen.setdefault(path, []).append((mean, variance))

    def note_deviation(path: str, maps: Tensor) -> None:
        spread.setdefault(path, []).append(maps[0, -1, 0, 0].clone())

    hooks = [
        norm.register_forward_pre_hook(lambda _, given, path=path: note_values(path, given[0]))
        for path, norm in norms.items()
    ]
    hooks += [
        each.register_forward_hook(lambda _, __, made, path=path: note_deviation(path, made))
        for path, each in deviations.items()
    ]
    with _by_the_batch(discriminator, norms.values()):
        try:
            for images in batches:
                labels = torch.full((len(images), fields), -1, device=images.device)
                discriminator(images, labels)
        finally:
            for hook in hooks:
                hook.remove()
    means = on_cpu([torch.stack([mean for mean, _ in parts]) for parts in seen.values()])
    variances = on_cpu([torch.stack([each for _, each in parts]) for parts in seen.values()])
    deviations_seen = on_cpu([torch.stack(values) for values in spread.values()])
    return Statistics(
        {
            path: _pooled(each, mean, variance)
            for (path, each), mean, variance in zip(counts.items(), means, variances, strict=True)
        },
        {
            path: values.double().mean()
            for path, values in zip(spread, deviations_seen, strict=True)
        },
    )


@contextlib.contextmanager
def _by_the_batch(discriminator: nn.Module, norms: Iterable[Norm]) -> Iterator[None]:
    """Put a discriminator in evaluation mode, but with batch norm by each batch's statistics and
    without updates of running statistics."""
    norms = list(norms)
    training = discriminator.training
    discriminator.eval()
    for norm in norms:
        norm.train()
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        discriminator.train(training)


@contextlib.contextmanager
def judging_by(discriminator: nn.Module, statistics: Statistics) -> Iterator[None]:
    """Put a discriminator in evaluation mode with these statistics, and restore it afterwards."""
    norms, deviations = norms_of(discriminator), deviations_of(discriminator)
    training = discriminator.training
    kept: list[tuple[Tensor, Tensor]] = []

    def put(buffer: Tensor | None, value: Tensor) -> None:
        assert buffer is not None
        kept.append((buffer, buffer.clone()))
        buffer.copy_(value)

    discriminator.eval()
    try:
        for path, (mean, variance) in statistics.norms.items():
            put(norms[path].running_mean, mean)
            put(norms[path].running_var, variance)
        for path, value in statistics.deviations.items():
            deviations[path].measured = float(value)
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)
        for each in deviations.values():
            each.measured = None
        discriminator.train(training)


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def noisy(images: Tensor, deviation: float, numbers: Iterable[int]) -> Tensor:
    """Images [B, 3, H, W] with Gaussian noise, seeded by each image's number."""
    if not deviation:
        return images
    noise = torch.stack(
        [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(int(number)))
            for number in numbers
        ]
    )
    return images + deviation * noise.to(images.device)


def real_pictures(
    collection: Collection,
    rows: np.ndarray,
    resolution: Resolution,
    *,
    noise: float = 0.0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Pictures of a collection as a discriminator's input, [B, 3, H, W] with noise.

    Pictures of a multiple of the resolution are averaged down, as in training.
    """
    pixels = torch.from_numpy(collection.images(rows)).to(device)
    images = as_images(pixels, times(collection.resolution, resolution))
    return noisy(images, noise, rows.tolist())


def statistics_of_real(
    discriminator: nn.Module,
    collection: Collection,
    resolution: Resolution,
    fields: int,
    *,
    noise: float = 0.0,
    device: torch.device | str = "cpu",
) -> Statistics:
    """The statistics of a collection's training pictures, evenly spaced. Without training pictures
    the discriminator's running statistics are used.

    Args:
        discriminator: on the device.
        collection: at `resolution` or a multiple of it.
        resolution: of the discriminator's input.
        fields: the number of its label fields.
        noise: `training.real_noise`.
        device: device to run on.
    """
    there = collection.train_indices
    rows = spread(there, min(MEASURED, len(there)))
    batches = (
        real_pictures(collection, some, resolution, noise=noise, device=device)
        for some in np.array_split(rows, -(-len(rows) // BATCH) or 1)
        if len(some)
    )
    return measure(discriminator, batches, fields)
