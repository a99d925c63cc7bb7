"""Random rotation by 0, 90, 180 or 270 degrees, with equal probability (ADA: Karras et al. 2020,
arXiv:2006.06676, appendix B); of rectangles by 0 or 180 degrees."""

import torch
from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor) -> Tensor:
    """Rotate each image [B, 3, H, W]."""
    half = torch.where(uniform(images) < 0.5, images.flip((2, 3)), images)
    if images.shape[2] != images.shape[3]:
        return half
    # Transposed and flipped: a rotation by 90 degrees.
    return torch.where(uniform(images) < 0.5, half, half.transpose(2, 3).flip(2))
