"""Batches of pictures from seeds."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import LatentConfig
from impasto.device import memory_format
from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.sampling.model import to_uint8
from impasto.sampling.seeds import latents_of_seeds


class Sampler:
    """Draws pictures from a generator, as fast as its device allows.

    Args:
        generator: any network that keeps the contract of `networks/`; folding works on a copy.
        latent: what it takes.
        device: where to run.
        label_fields: how many label fields it is conditioned on.
        fold: batch norm folded into the convolutions (equal up to rounding); off where the weights
            change too often for it to pay.
    """

    def __init__(
        self,
        generator: nn.Module,
        latent: LatentConfig,
        device: torch.device | str = "cpu",
        *,
        label_fields: int = 0,
        fold: bool = True,
    ) -> None:
        self.latent = latent
        self.label_fields = label_fields
        self.device = torch.device(device)
        if fold:
            generator = fold_batch_norm(generator)
            form = memory_format(self.device, channels_last=True)
            generator.to(memory_format=form)  # type: ignore[call-overload]
        self.generator = generator.to(self.device).eval()

    @torch.inference_mode()
    def images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] of latents [B, Z] and labels [B, F] (unknown by default)."""
        if labels is None:
            labels = torch.full((len(latents), self.label_fields), -1)
        images: Tensor = self.generator(latents.to(self.device), labels.to(self.device))
        return images

    @torch.inference_mode()
    def side_by_side(self, latents: Tensor, labels: Tensor) -> Tensor:
        """What each stage of the generator paints [B, 3, H, stages * W], from left to right; earlier
        ones are enlarged to the last one's size by repeating pixels.

        Raises:
            ImpastoError: the generator paints in one stage.
        """
        self.check_stages()
        stages: Sequence[Tensor] = self.generator.stages(  # type: ignore[operator]
            latents.to(self.device), labels.to(self.device)
        )
        size = stages[-1].shape[2:]
        return torch.cat([F.interpolate(stage, size, mode="nearest") for stage in stages], dim=3)

    def check_stages(self, wanted: bool = True) -> None:
        """Raises: ImpastoError: stages are wanted, but the generator paints in one."""
        if wanted and not hasattr(self.generator, "stages"):
            raise ImpastoError(
                "this model paints in one stage: there is nothing to show beside its pictures"
            )

    def batches(
        self,
        seeds: Sequence[int],
        labels: Tensor | None = None,
        *,
        truncation: float | None = None,
        batch: int = 64,
        stages: bool = False,
    ) -> Iterator[np.ndarray]:
        """The seeds' pictures in order, in batches [up to `batch`, H, W, 3] of uint8.

        Args:
            seeds: one a picture, see `latents_of_seeds`.
            labels: [len(seeds), F] int64, one row a seed; unknown by default.
            truncation: see `latents_of_seeds`.
            batch: pictures at once; changes memory and speed, not the pictures.
            stages: every stage's picture side by side instead, see `side_by_side`.
        """
        if labels is None:
            labels = torch.full((len(seeds), self.label_fields), -1)
        paint = self.side_by_side if stages else self.images
        for start in range(0, len(seeds), batch):
            some = seeds[start : start + batch]
            latents = latents_of_seeds(some, self.latent, truncation)
            yield to_uint8(paint(latents, labels[start : start + batch])).cpu().numpy()
