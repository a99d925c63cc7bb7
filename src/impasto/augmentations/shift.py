"""Moved by any distance, not by whole pixels (ADA's fractional translation: Karras et al. 2020,
arXiv:2006.06676, appendix B)."""

from torch import Tensor

from impasto.augmentations._draws import normal


def source(images: Tensor, x: Tensor, y: Tensor, *, sigma: float = 0.125) -> tuple[Tensor, Tensor]:
    """Args:
    images: [B, 3, H, W].
    x, y: places [B, H, W] of the moved picture.
    sigma: standard deviation of the distance across and of that down, as a share of the side.
    """
    # The side is 2 long in the units of x and y.
    return x - normal(images)[:, 0] * (2 * sigma), y - normal(images)[:, 0] * (2 * sigma)
