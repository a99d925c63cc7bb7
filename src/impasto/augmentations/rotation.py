"""Rotated about the centre by any angle (ADA's arbitrary rotation: Karras et al. 2020,
arXiv:2006.06676, appendix B).

ADA rotates before and after its `stretch`, each so often that a picture is rotated at all with the
probability asked for; here it is once.
"""

import math

from torch import Tensor

from impasto.augmentations._draws import uniform


def source(images: Tensor, x: Tensor, y: Tensor, *, most: float = math.pi) -> tuple[Tensor, Tensor]:
    """Args:
    images: [B, 3, H, W], H = W.
    x, y: places [B, H, W] of the rotated picture.
    most: the angle is uniform in plus or minus this, in radians.
    """
    angle = (2 * uniform(images)[:, 0] - 1) * most
    return angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y
