"""Grain, stronger in some pictures than in others (ADA's additive noise: Karras et al. 2020,
arXiv:2006.06676, appendix B)."""

import torch
from torch import Tensor

from impasto.augmentations._draws import normal


def augment(images: Tensor, *, sigma: float = 0.1) -> Tensor:
    """Args:
    images: [B, 3, H, W].
    sigma: the grain's standard deviation is a half-normal draw of this scale, one a picture.
    """
    # Not randn_like: drawn in channels-last order, it takes ten times as long on a CPU.
    grain = torch.randn(images.shape, device=images.device, dtype=images.dtype)
    return images + grain * (normal(images).abs() * sigma)
