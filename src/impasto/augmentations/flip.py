"""Mirrored, left for right, half the time (ADA's x-flip: Karras et al. 2020, arXiv:2006.06676,
appendix B).

Under a probability p, p / 2 of the pictures are mirrored. To double a collection that may be
mirrored, have `training.mirror`, which shows mirrored pictures as real ones.
"""

import torch
from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor) -> Tensor:
    """Images [B, 3, H, W]."""
    return torch.where(uniform(images) < 0.5, images.flip(3), images)
