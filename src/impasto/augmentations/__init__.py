"""Augmentations shown to the discriminator: one file a kind, found by its name.

With few pictures a discriminator learns them by heart. It is shown real and generated pictures only
through random changes, and since the generator's gradient passes through these, what it learns to
paint is still the pictures as they are (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020,
arXiv:2006.06676).

A kind is one of two functions, its keyword-only parameters being its strength:

    def augment(images: Tensor, *, ...) -> Tensor
    def source(images: Tensor, x: Tensor, y: Tensor, *, ...) -> tuple[Tensor, Tensor]

The first takes images [B, 3, H, W] in [-1, 1], H = W, and returns as many of the same shape, type and
memory format, possibly beyond [-1, 1]. The second says where in the picture each place x, y of the
changed one is taken from ([B, H, W], from -1 to 1 between the edges): such kinds in a row are sampled
once, so that they blur no more than one. Every picture has a draw of its own, from torch's global
generator. Nothing is read on the host and no shape depends on a value. All can be differentiated
twice, as R1 asks.
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
    # ADA's blitting, geometric and colour transformations, the set it is best with (Karras et al.
    # 2020, section 3 and appendix B), by bilinear sampling where theirs is by wavelet filters; and
    # translation by whole pixels moves grey in, where theirs mirrors the picture.
    "bgc": (
        *("flip", "rotate90", "translation"),
        *("scale", "rotation", "stretch", "shift"),
        *("brightness", "contrast", "luma_flip", "hue", "saturation"),
    ),
}
"""Kinds that go together, by the name they are known by."""


class Augmentation:
    """Kinds of change, one after another.

    Args:
        kinds: names of files in this room, or of presets, which stand for theirs.

    Raises:
        ImpastoError: there is no such kind; the message lists the valid names.
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
        """Change each picture by each kind with this probability, in [0, 1]; a tensor is a scalar on
        the images' device. A picture that a kind is not drawn for passes it bit for bit."""
        if not isinstance(probability, Tensor) and probability <= 0:
            return images
        for placing, modules in groupby(self._modules, lambda module: hasattr(module, "source")):
            if placing:
                images = _resampled(images, list(modules), probability)
                continue
            for module in modules:
                images = _chosen(module.augment(images), images, _draw(images, probability))
        return images


def _draw(images: Tensor, probability: float | Tensor) -> Tensor | None:
    """Which pictures to change, [B, 1, 1, 1]; None is all."""
    if not isinstance(probability, Tensor) and probability >= 1:
        return None
    return torch.rand(len(images), 1, 1, 1, device=images.device) < probability


def _chosen(changed: Tensor, images: Tensor, drawn: Tensor | None) -> Tensor:
    return changed if drawn is None else torch.where(drawn, changed, images)


def _resampled(
    images: Tensor, modules: Sequence[ModuleType], probability: float | Tensor
) -> Tensor:
    """The images changed by kinds that have a `source`, sampled once."""
    x, y = pixel_places(images)
    drawn: Tensor | None = None
    # A place of the last change's picture is looked up in the one before it, and so back.
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
