"""A model with its sampling settings, shared by all ways of sampling."""

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
    """Generates images of seeds with one model.

    Raises:
        ImpastoError: `stages` with a model that has a single stage.
    """

    sampler: Sampler
    record: ModelRecord
    truncation: float | None = None
    """See `latents_of_seeds`."""
    batch: int = 64
    """Images at a time."""
    stages: bool = False
    """Whether images show all stages side by side; see `Sampler.side_by_side`."""

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
        precision: str = "float32",
    ) -> "Painter":
        """The painter of the model in a model folder; see `of`."""
        return cls.of(
            Model.load(folder, device),
            truncation=truncation,
            batch=batch,
            stages=stages,
            precision=precision,
        )

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        truncation: float | None = None,
        batch: int = 64,
        stages: bool = False,
        precision: str = "float32",
    ) -> "Painter":
        """The painter of a loaded model, on its device; see `Sampler` for the precision."""
        sampler = Sampler(
            model.generator,
            model.latent,
            model.device,
            label_fields=len(model.record.labels),
            precision=precision,
        )
        return cls(sampler, model.record, truncation, batch, stages)

    def labels(self, seeds: Sequence[int], chosen: Mapping[int, int]) -> Tensor:
        """Labels [B, F] of the seeds, with the chosen classes; see `labels_of_seeds`."""
        return labels_of_seeds(seeds, self.record, chosen)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """Latents [B, Z] of the seeds."""
        return latents_of_seeds(seeds, self.sampler.latent, self.truncation)

    def paint(self, seeds: Sequence[int], labels: Tensor) -> Iterator[np.ndarray]:
        """Images of the seeds in batches; see `Sampler.batches`."""
        return self.sampler.batches(
            seeds, labels, truncation=self.truncation, batch=self.batch, stages=self.stages
        )
