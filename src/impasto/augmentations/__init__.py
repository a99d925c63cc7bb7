"""Augmentations of the discriminator's input: one file a kind, found by its name.

With few images a discriminator memorises them. So it gets real and generated images after random
changes only. The changes are differentiable, and the generator's gradient passes through them, so
that the generator still learns the distribution of the unchanged images (Zhao et al. 2020,
arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676).

A kind is one of two functions. Its keyword-only parameters are its strength:

    def augment(images: Tensor, *, ...) -> Tensor
    def source(images: Tensor, x: Tensor, y: Tensor, *, ...) -> tuple[Tensor, Tensor]

`augment` takes images [B, 3, H, W] in [-1, 1]. It returns images of the same shape, type
and memory format, which may exceed [-1, 1].

`source` is for kinds that only move pixels. For each position x, y in the changed image ([B, H,
W], from -1 to 1 between the edges) it returns the position in the input image. Consecutive kinds
of this sort are resampled once, so that they blur no more than one.

Every image has a random draw of its own, from torch's global generator. Nothing is read on the
host, and no shape depends on a value. All kinds can be differentiated twice, as R1 needs.
"""

from collections.abc import Sequence
from itertools import groupby
from types import ModuleType

import torch
from torch import Tensor

from impasto.augmentations._resampling import pixel_places, resample
from impasto.errors import ImpastoError, choices
from impasto.registry import load_module, names

PRESETS = {
    # DiffAugment's policy for small collections (Zhao et al. 2020, section 4).
    "diffaugment": ("colour", "translation", "cutout"),
    # ADA's blitting, geometric and colour transformations, its best set (Karras et al. 2020,
    # section 3 and appendix B). Differences: resampling is bilinear, theirs uses wavelet filters;
    # translation by whole pixels fills with grey, theirs mirrors the image.
    "bgc": (
        *("flip", "rotate90", "translation"),
        *("scale", "rotation", "stretch", "shift"),
        *("brightness", "contrast", "luma_flip", "hue", "saturation"),
    ),
}
"""Sets of kinds by name."""


class Augmentation:
    """Kinds of augmentation, applied one after another.

    Args:
        kinds: names of files in `augmentations/` or of presets.

    Raises:
        ImpastoError: an unknown kind; the message lists the valid names.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kind for name in kinds for kind in PRESETS.get(name, (name,)))
        known = names("augmentations")
        for kind in self.kinds:
            if kind not in known:
                raise ImpastoError(
                    f"unknown augmentation '{kind}'; there is {choices([*known, *PRESETS])}"
                )
        self._modules = [load_module("augmentations", k, "augmentation") for k in self.kinds]

    def __call__(self, images: Tensor, probability: float | Tensor = 1.0) -> Tensor:
        """Apply each kind to each image with this probability.

        Args:
            images: [B, 3, H, W] in [-1, 1].
            probability: in [0, 1]; a tensor is a scalar on the images' device.

        Returns:
            [B, 3, H, W]. An image that no kind is drawn for is unchanged bit for bit.
        """
        if not isinstance(probability, Tensor) and probability <= 0:
            return images
        for moves, modules in groupby(self._modules, lambda module: hasattr(module, "source")):
            if moves:
                images = _resampled(images, list(modules), probability)
                continue
            for module in modules:
                images = _chosen(module.augment(images), images, _draw(images, probability))
        return images


def _draw(images: Tensor, probability: float | Tensor) -> Tensor | None:
    """Which images are changed, bool [B, 1, 1, 1]; None means all."""
    if not isinstance(probability, Tensor) and probability >= 1:
        return None
    return torch.rand(len(images), 1, 1, 1, device=images.device) < probability


def _chosen(changed: Tensor, images: Tensor, drawn: Tensor | None) -> Tensor:
    return changed if drawn is None else torch.where(drawn, changed, images)


def _resampled(
    images: Tensor, modules: Sequence[ModuleType], probability: float | Tensor
) -> Tensor:
    """The images after kinds that have `source`, resampled once."""
    x, y = pixel_places(images)
    drawn: Tensor | None = None
    # From the last kind to the first: each maps positions in its output to its input.
    for module in reversed(modules):
        picked = _draw(images, probability)
        before = module.source(images, x, y)
        if picked is None:
            x, y = before
        else:
            x, y = (torch.where(picked[:, 0], b, a) for b, a in zip(before, (x, y), strict=True))
            drawn = picked if drawn is None else drawn | picked
    return _chosen(resample(images, x, y), images, drawn)


__all__ = ["PRESETS", "Augmentation"]
