"""Attributes that are measured on pixels: brightness, warmth, saturation, contrast and edges."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def _luma(images: Tensor) -> Tensor:
    return (images * images.new_tensor(_LUMA)[:, None, None]).sum(1)


def brightness(images: Tensor) -> Tensor:
    """The mean brightness."""
    return _luma(images).mean((1, 2))


def contrast(images: Tensor) -> Tensor:
    """The standard deviation of brightness within the picture."""
    return _luma(images).std((1, 2))


def warmth(images: Tensor) -> Tensor:
    """Red minus blue, on average."""
    return (images[:, 0] - images[:, 2]).mean((1, 2))


def saturation(images: Tensor) -> Tensor:
    """The largest minus the smallest of red, green and blue, on average."""
    return (images.amax(1) - images.amin(1)).mean((1, 2))


def edges(images: Tensor) -> Tensor:
    """Edge density: the mean size of the brightness's gradient, from Sobel's filters."""
    sobel = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    both = torch.stack([sobel, sobel.T])[:, None]
    return F.conv2d(_luma(images)[:, None], both).square().sum(1).sqrt().mean((1, 2))


ATTRIBUTES: dict[str, Callable[[Tensor], Tensor]] = {
    "brightness": brightness,
    "warmth": warmth,
    "saturation": saturation,
    "contrast": contrast,
    "edges": edges,
}
"""By name: images [B, 3, H, W] in [0, 1] to one value each, [B]."""


def measured(pixels: Tensor) -> Tensor:
    """All attributes [B, 5] of images uint8 [B, H, W, 3]."""
    images = pixels.permute(0, 3, 1, 2).float() / 255
    return torch.stack([measure(images) for measure in ATTRIBUTES.values()], dim=1)
