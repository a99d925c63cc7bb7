"""Training pictures as latents of an autoencoder, for generators that learn these."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.device import memory_format
from impasto.networks import autoencoder_of
from impasto.training.data import TrainingPictures
from impasto.training.encoding import Latents, load_latents, load_some_latents


class EncodedPictures(TrainingPictures):
    """`TrainingPictures` whose method `shown` gives latents [B, C, h, w] with a standard deviation of
    about 0.5. `fixed` and `once` still give pictures.

    Args:
        latents: of the training pictures.
        scale: factor that `shown` multiplies latents by.
        rest: arguments of `TrainingPictures`, as are `options`.
    """

    def __init__(self, latents: Latents, scale: float, *rest: Any, **options: Any) -> None:
        self.latents = latents
        self.scale = scale
        self.encoding_seconds = latents.seconds
        super().__init__(*rest, **options)

    def _reader(self) -> Callable[[np.ndarray], Tensor]:
        latents, rows = self.latents, self.rows
        places = np.zeros(int(rows.max()) + 1, dtype=np.int64)
        places[rows] = np.arange(len(rows))
        return lambda some: latents.read(places[some])

    def _as_inputs(self, read: Tensor, mirrored: Tensor | None) -> Tensor:
        latents = read[:, 0]
        if mirrored is not None:
            latents = torch.where(mirrored[:, None, None, None], read[:, 1], latents)
        return (latents.float() * self.scale).contiguous(memory_format=self.memory_format)


def training_pictures(
    config: RunConfig, collection: Collection, device: torch.device, *, few: bool = False
) -> TrainingPictures:
    """The training pictures of a run, as latents where it has an autoencoder.

    Args:
        config: of the run.
        collection: of the run.
        device: where batches go.
        few: if the cache lacks latents, encode only a few pictures, for measuring the speed of steps.
    """
    rest = (
        collection,
        config.labels,
        config.training.seed,
        device,
        memory_format(device, config.training.channels_last),
    )
    training = config.training
    options: dict[str, Any] = {
        "resolution": config.resolution,
        "balance": training.balance,
        "balance_by": training.balance_by,
        "buckets": config.buckets,
        "batch": training.batch,
    }
    if config.autoencoder is None:
        return TrainingPictures(*rest, **options)
    latents = (load_some_latents if few else load_latents)(config, collection, device)
    return EncodedPictures(latents, autoencoder_of(config).scale or 1.0, *rest, **options)
