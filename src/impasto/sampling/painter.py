"""A model, and how its pictures are asked for: what all ways of sampling it share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import Model, ModelRecord
from impasto.sampling.sampler import Sampler
from impasto.sampling.seeds import latents_of_seeds


@dataclass(frozen=True)
class Painter:
    """Paints seeds of one model.

    Raises:
        ImpastoError: stages are asked of a model that has none.
    """

    sampler: Sampler
    record: ModelRecord
    truncation: float | None = None
    """See `latents_of_seeds`."""
    batch: int = 64
    """Pictures at once."""
    stages: bool = False
    """Every stage's picture side by side, see `Sampler.side_by_side`."""

    def __post_init__(self) -> None:
        self.sampler.check_stages(self.stages)

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device | str = "cpu",
        *,
        truncation: float | None = None,
        batch: int = 64,
        stages: bool = False,
    ) -> "Painter":
        """Of the model in a model folder."""
        model = Model.load(folder)
        fields = len(model.record.labels)
        sampler = Sampler(model.generator, model.latent, device, label_fields=fields)
        return cls(sampler, model.record, truncation, batch, stages)

    def labels(self, seeds: Sequence[int], chosen: Mapping[int, int]) -> Tensor:
        """The seeds' labels [B, F]: as each draws them, but with the classes chosen, see `classes`."""
        return labels_of_seeds(seeds, self.record, chosen)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """The seeds' latents [B, Z]."""
        return latents_of_seeds(seeds, self.sampler.latent, self.truncation)

    def paint(self, seeds: Sequence[int], labels: Tensor) -> Iterator[np.ndarray]:
        """Their pictures in batches, see `Sampler.batches`."""
        return self.sampler.batches(
            seeds, labels, truncation=self.truncation, batch=self.batch, stages=self.stages
        )
