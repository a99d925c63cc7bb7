"""One random number an image, from torch's global generator, on the images' device."""

import torch
from torch import Tensor


def uniform(images: Tensor) -> Tensor:
    """Uniform numbers [B, 1, 1, 1] in [0, 1), for images [B, 3, H, W]."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def normal(images: Tensor) -> Tensor:
    """Normal numbers [B, 1, 1, 1] of mean 0 and standard deviation 1, for images [B, 3, H, W]."""
    return torch.randn(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
