"""Random noise of random strength (ADA's additive noise: Karras et al. 2020, arXiv:2006.06676,
appendix B)."""

import torch
from torch import Tensor

from impasto.augmentations._draws import normal


def augment(images: Tensor, *, sigma: float = 0.1) -> Tensor:
    """Add Gaussian noise to each image.

    Args:
        images: [B, 3, H, W].
        sigma: scale of the half-normal distribution that each image's standard deviation is drawn
            from.
    """
    # Not randn_like: drawn in channels-last order, it takes ten times as long on a CPU.
    grain = torch.randn(images.shape, device=images.device, dtype=images.dtype)
    return images + grain * (normal(images).abs() * sigma)
