"""Batches of images from seeds."""

import weakref
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import LatentConfig
from impasto.device import autocast, check_precision, choose_device, memory_format
from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.sampling.pixels import to_uint8
from impasto.sampling.portions import Generate, in_portions, portion_of, portions_known
from impasto.sampling.seeds import latents_of_seeds
from impasto.threads import chosen_threads


class Sampler:
    """Generates images, as fast as the device allows; on a CPU, a latent and labels give the same bits
    whichever images are generated with them.

    Args:
        generator: any network with the contract of `networks/`. Folding works on a copy.
        latent: its latents' size and distribution.
        device: device to run on.
        label_fields: number of its label fields.
        fold: whether batch norms are folded into convolutions (equal up to rounding). Off where
            the weights change so often that folding does not pay.
        precision: `float32`; `bfloat16`, which changes the pixels a little; or `auto`, bfloat16 where
            the device multiplies it.

    Raises:
        ImpastoError: no device or precision of this name.
    """

    def __init__(
        self,
        generator: nn.Module,
        latent: LatentConfig,
        device: torch.device | str = "cpu",
        *,
        label_fields: int = 0,
        fold: bool = True,
        precision: str = "float32",
    ) -> None:
        check_precision(precision)
        self.precision = precision
        self.latent = latent
        self.label_fields = label_fields
        self.device = choose_device(device) if isinstance(device, str) else device
        original = generator
        if fold:
            generator = fold_batch_norm(generator)
            form = memory_format(self.device, channels_last=True)
            generator.to(memory_format=form)  # type: ignore[call-overload]
        self.generator = generator.to(self.device).eval()
        self._portion = portions_known.get(original)
        self._original = weakref.ref(original)

    @torch.inference_mode()
    def images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] of latents [B, Z] and labels [B, F] (unknown by default) or
        class weights [B, K].

        On a CPU, an image has the same bits in every batch; see `portions.py`.
        """
        if labels is None:
            labels = torch.full((len(latents), self.label_fields), -1)
        return self._generate(self.generator, latents, labels)

    def _generate(self, generate: Generate, latents: Tensor, labels: Tensor) -> Tensor:
        """Images of latents and labels by `generate`, on the device; on a CPU in fixed portions."""

        def on_device(latents: Tensor, labels: Tensor) -> Tensor:
            with autocast(self.device, self.precision):
                return generate(latents.to(self.device), labels.to(self.device)).float()

        if self.device.type != "cpu" or not len(latents):
            return on_device(latents, labels)
        if self._portion is None:
            self._portion = portion_of(self.generator, on_device, latents[:1], labels[:1])
            if (original := self._original()) is not None:
                portions_known[original] = self._portion
        return in_portions(on_device, latents, labels, self._portion)

    @torch.inference_mode()
    def side_by_side(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The images of all stages, [B, 3, H, stages * W] in [-1, 1], from left to right. Those
        of earlier stages are enlarged by repeating pixels.

        Raises:
            ImpastoError: the generator has a single stage.
        """
        self.check_stages()

        def generate(latents: Tensor, labels: Tensor) -> Tensor:
            stages: Sequence[Tensor] = self.generator.stages(latents, labels)  # type: ignore[operator]
            size = stages[-1].shape[2:]
            return torch.cat(
                [F.interpolate(stage.float(), size, mode="nearest") for stage in stages], dim=3
            )

        return self._generate(generate, latents, labels)

    def canvases(
        self, inputs: Iterable[tuple[Tensor, Tensor]], **settings: bool
    ) -> Iterator[np.ndarray]:
        """Canvases, uint8 [R * H, C * W, 3] each; see the method `canvas` of generators.

        Args:
            inputs: pairs of a field of latents [1, ...] and one of class weights [1, ...], read one at a
                time.
            settings: further arguments of the generator's `canvas`.
        """
        with chosen_threads("canvas", free=self.device.type == "cpu") as threads:
            for latents, weights in inputs:
                with threads.unit(), torch.inference_mode(), autocast(self.device, self.precision):
                    images: Tensor = self.generator.canvas(  # type: ignore[operator]
                        latents.to(self.device), weights.to(self.device), **settings
                    )
                    (pixels,) = to_uint8(images.float()).cpu()
                yield pixels.numpy()

    def check_stages(self, wanted: bool = True) -> None:
        """Check that the generator has several stages, if they are wanted.

        Raises:
            ImpastoError: it has a single stage.
        """
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
        """The images of the seeds in order, in uint8 batches [up to `batch`, H, W, 3].

        Args:
            seeds: one an image; see `latents_of_seeds`.
            labels: [len(seeds), F] int64, one row a seed; unknown by default.
            truncation: see `latents_of_seeds`.
            batch: images at a time. It changes memory and speed, not the images.
            stages: all stages side by side; see `side_by_side`.

        Raises:
            ImpastoError: `batch` or the truncation is not above 0.
        """
        check_batch(batch)
        if labels is None:
            labels = torch.full((len(seeds), self.label_fields), -1)
        starts = range(0, len(seeds), batch)
        return self.pixels(
            (
                (
                    latents_of_seeds(seeds[start : start + batch], self.latent, truncation),
                    labels[start : start + batch],
                )
                for start in starts
            ),
            stages=stages,
        )

    def pixels(
        self, inputs: Iterable[tuple[Tensor, Tensor]], *, stages: bool = False
    ) -> Iterator[np.ndarray]:
        """The images of batches of latents and labels (or class weights), as uint8 [B, H, W, 3].

        Args:
            inputs: pairs of latents and labels, read one at a time.
            stages: all stages side by side; see `side_by_side`.
        """
        paint = self.side_by_side if stages else self.images
        with chosen_threads("batch", free=self.device.type == "cpu") as threads:
            for latents, labels in inputs:
                with threads.unit():
                    pixels = to_uint8(paint(latents, labels)).cpu()
                yield pixels.numpy()


def check_batch(batch: int) -> None:
    """Raises: ImpastoError: it is not above 0."""
    if batch < 1:
        raise ImpastoError(f"batch is the number of images at a time, from 1, not {batch}")
