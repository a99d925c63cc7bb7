"""All hues turned by one angle about the grey axis (ADA: Karras et al. 2020, arXiv:2006.06676,
appendix B)."""

import math

from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor, *, most: float = math.pi) -> Tensor:
    """Args:
    images: [B, 3, H, W].
    most: the angle is uniform in plus or minus this, in radians.
    """
    angle = (2 * uniform(images) - 1) * most
    # Rodrigues' formula about (1, 1, 1) / sqrt(3): each channel becomes the same mixture of itself,
    # the one before it and the one after it, in a circle.
    side, across = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    before, after = images.roll(1, dims=1), images.roll(-1, dims=1)
    return images * (1 - 2 * side) + before * (side + across) + after * (side - across)
