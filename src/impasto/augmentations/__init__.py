"""Augmentations shown to the discriminator: one file a kind, found by its name.

With few pictures a discriminator learns them by heart. It is shown real and generated pictures only
through random changes, and since the generator's gradient passes through these, what it learns to
paint is still the pictures as they are (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020,
arXiv:2006.06676).

A kind is a function, its keyword-only parameters being its strength:

    def augment(images: Tensor, *, ...) -> Tensor

of images [B, 3, H, W] in [-1, 1], H = W, which returns as many of the same shape, type and memory
format, possibly beyond [-1, 1]. Every picture has a draw of its own, from torch's global generator.
Nothing is read on the host and no shape depends on a value. It can be differentiated twice, as R1
asks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.errors import ImpastoError, choices
from impasto.registry import load_module, module_names

PRESETS = {
    # DiffAugment's policy for small collections (Zhao et al. 2020, section 4).
    "diffaugment": ("colour", "translation", "cutout"),
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
        known = module_names("augmentations")
        for kind in self.kinds:
            if kind not in known:
                raise ImpastoError(
                    f"unknown augmentation '{kind}'; there is {choices([*known, *PRESETS])}"
                )
        self._modules = [load_module("augmentations", k, "augmentation") for k in self.kinds]

    def __call__(self, images: Tensor, probability: float | Tensor = 1.0) -> Tensor:
        """Change each picture by each kind with this probability, in [0, 1]; a tensor is a scalar on
        the images' device. A picture that a kind is not drawn for passes it bit for bit."""
        if isinstance(probability, float | int) and probability <= 0:
            return images
        for module in self._modules:
            changed = module.augment(images)
            if not isinstance(probability, Tensor) and probability >= 1:
                images = changed
            else:
                drawn = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
                images = torch.where(drawn, changed, images)
        return images


__all__ = ["PRESETS", "Augmentation"]
