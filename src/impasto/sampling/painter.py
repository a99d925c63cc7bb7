"""A model with its sampling settings, shared by all ways of sampling."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import Model, ModelRecord
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points, batches_of
from impasto.sampling.sampler import Sampler, check_batch
from impasto.sampling.seeds import latents_of_seeds
from impasto.sampling.step_settings import AS_SAVED, StepSettings


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
    made_with: str | None = None
    """See `Model.made_with`."""
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    """A function for each batch of images before it is returned, such as enlarging."""

    def __post_init__(self) -> None:
        self.sampler.check_stages(self.stages)

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device | str = "cpu",
        how: StepSettings = AS_SAVED,
        *,
        truncation: float | None = None,
        batch: int = 64,
        stages: bool = False,
        precision: str = "float32",
    ) -> "Painter":
        """The painter of the model in a model folder; see `of`, and `StepSettings` for `how`."""
        return cls.of(
            Model.load(folder, device, **vars(how)),
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
        return cls(sampler, model.record, truncation, batch, stages, model.made_with)

    def labels(self, seeds: Sequence[int], chosen: Mapping[int, int]) -> Tensor:
        """Labels [B, F] of the seeds, with the chosen classes; see `labels_of_seeds`."""
        return labels_of_seeds(seeds, self.record, chosen)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """Latents [B, Z] of the seeds."""
        return latents_of_seeds(seeds, self.sampler.latent, self.truncation)

    def points(self, seeds: Sequence[int], labels: Tensor) -> Points:
        """The points of the seeds with these labels [B, F] or class weights [B, K]."""
        origins = [Origin(seed=seed, truncation=self.truncation) for seed in seeds]
        return Points.make(self.record, self.latents(seeds), labels, origins)

    def texts(self, seeds: Sequence[int], labels: Tensor) -> Iterator[str]:
        """The text that the PNG of each seed carries; see `Points.text`."""
        for place, seed in enumerate(seeds):
            origin = Origin(seed=seed, truncation=self.truncation)
            # A seed names its latent, so the text needs none.
            one = Points.make(self.record, torch.empty(1, 0), labels[place : place + 1], [origin])
            yield one.text(0)

    @property
    def levels(self) -> int | None:
        """The number of latents that the generator takes, one for each level; None: one for all."""
        return getattr(self.sampler.generator, "levels", None)

    @property
    def level_sides(self) -> tuple[int, ...]:
        """The side of the maps of each level, where the generator says it; see `networks/`."""
        return getattr(self.sampler.generator, "level_sides", ())

    def check_levels(self, latents: Tensor) -> None:
        """Check that the generator takes latents of this shape, [B, Z] or [B, L, Z].

        Raises:
            ImpastoError: it does not.
        """
        if latents.ndim == 3 and latents.shape[1] != self.levels:
            raise ImpastoError(
                f"these points have {latents.shape[1]} latents, one for each level; this generator "
                f"takes {self.levels or 'one for all levels'}"
            )

    def paint_points(self, points: Points) -> Iterator[np.ndarray]:
        """Images of points in batches, uint8 [up to `batch`, H, W, 3].

        Raises:
            ImpastoError: they have a latent for each level, and this generator does not take so many.
        """
        check_batch(self.batch)
        self.check_levels(points.latents)
        parts = batches_of(points, self.batch)
        inputs = ((some.latents, some.classes) for some in parts)
        return self._finished(self.sampler.pixels(inputs, stages=self.stages))

    def paint(self, seeds: Sequence[int], labels: Tensor) -> Iterator[np.ndarray]:
        """Images of the seeds in batches; see `Sampler.batches`."""
        return self._finished(
            self.sampler.batches(
                seeds, labels, truncation=self.truncation, batch=self.batch, stages=self.stages
            )
        )

    def _finished(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        return batches if self.finish is None else map(self.finish, batches)
