"""Random rotation around the centre by any angle (ADA's arbitrary rotation: Karras et al. 2020,
arXiv:2006.06676, appendix B).

ADA rotates before and after its `stretch`, with probabilities that add up to the one of
augmentation. Here there is one rotation.
"""

import math

from torch import Tensor

from impasto.augmentations._draws import uniform


def source(images: Tensor, x: Tensor, y: Tensor, *, most: float = math.pi) -> tuple[Tensor, Tensor]:
    """Rotate each image.

    Args:
        images: [B, 3, H, W].
        x, y: positions [B, H, W] in the rotated image.
        most: the angle is uniform in plus or minus this, in radians.

    Returns:
        The positions in `images`.
    """
    angle = (2 * uniform(images)[:, 0] - 1) * most
    tall = images.shape[2] / images.shape[3]  # The units of x and y are half the width and height.
    return angle.cos() * x - angle.sin() * y * tall, angle.sin() * x / tall + angle.cos() * y
