"""Random rotation of all hues around the grey axis (ADA: Karras et al. 2020, arXiv:2006.06676,
appendix B)."""

import math

from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor, *, most: float = math.pi) -> Tensor:
    """Rotate the hues of each image.

    Args:
        images: [B, 3, H, W].
        most: the angle is uniform in plus or minus this, in radians.
    """
    angle = (2 * uniform(images) - 1) * most
    # Rodrigues' formula around (1, 1, 1) / sqrt(3): each channel becomes the same mixture of itself,
    # the previous and the next one, cyclically.
    side, across = (1 - angle.cos()) / 3, angle.sin() / math.sqrt(3)
    before, after = images.roll(1, dims=1), images.roll(-1, dims=1)
    return images * (1 - 2 * side) + before * (side + across) + after * (side - across)
