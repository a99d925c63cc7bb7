"""Random horizontal mirroring (ADA's x-flip: Karras et al. 2020, arXiv:2006.06676, appendix B).

With a probability p of augmentation, p / 2 of the images are mirrored. To double a collection
whose images may be mirrored, use `training.mirror` instead, which counts mirrored images as real
ones.
"""

import torch
from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor) -> Tensor:
    """Mirror each image [B, 3, H, W] with probability 1/2."""
    return torch.where(uniform(images) < 0.5, images.flip(3), images)
