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
from impasto.training.encoding import Latents, encoded, some_encoded


class EncodedPictures(TrainingPictures):
    """As `TrainingPictures`, but what is shown are latents [B, C, h, w], of a standard deviation of
    about 0.5. `fixed` and `once` give pictures.

    Args:
        latents: of the training pictures.
        scale: factor to the latents that are shown.
        rest: as `TrainingPictures`.
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

    def _learned(self, read: Tensor, mirrored: Tensor | None) -> Tensor:
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
        few: encode only a few pictures if the cache lacks some, to measure steps with them.
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
    latents = (some_encoded if few else encoded)(config, collection, device)
    return EncodedPictures(latents, autoencoder_of(config).scale or 1.0, *rest, **options)
