"""Larger or smaller about the centre (ADA's isotropic scaling: Karras et al. 2020, arXiv:2006.06676,
appendix B). Unlike theirs, what is made smaller is not filtered against aliasing first."""

from torch import Tensor

from impasto.augmentations._draws import normal


def source(images: Tensor, x: Tensor, y: Tensor, *, sigma: float = 0.2) -> tuple[Tensor, Tensor]:
    """Args:
    images: [B, 3, H, W].
    x, y: places [B, H, W] of the scaled picture.
    sigma: standard deviation of the factor's binary logarithm.
    """
    factor = (normal(images)[:, 0] * sigma).exp2()
    return x / factor, y / factor
