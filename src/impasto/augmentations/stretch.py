"""Wider and lower, or narrower and higher, by the same factor (ADA's anisotropic scaling: Karras et
al. 2020, arXiv:2006.06676, appendix B). Unlike theirs, nothing is filtered against aliasing."""

from torch import Tensor

from impasto.augmentations._draws import normal


def source(images: Tensor, x: Tensor, y: Tensor, *, sigma: float = 0.2) -> tuple[Tensor, Tensor]:
    """Args:
    images: [B, 3, H, W].
    x, y: places [B, H, W] of the stretched picture.
    sigma: standard deviation of the factor's binary logarithm.
    """
    factor = (normal(images)[:, 0] * sigma).exp2()
    return x / factor, y * factor
