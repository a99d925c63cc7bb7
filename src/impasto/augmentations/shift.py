"""Random translation by fractions of pixels (ADA's fractional translation: Karras et al. 2020,
arXiv:2006.06676, appendix B)."""

from torch import Tensor

from impasto.augmentations._draws import normal


def source(images: Tensor, x: Tensor, y: Tensor, *, sigma: float = 0.125) -> tuple[Tensor, Tensor]:
    """Shift each image.

    Args:
        images: [B, 3, H, W].
        x, y: positions [B, H, W] in the shifted image.
        sigma: standard deviation of the distance in each direction, as a share of the side.

    Returns:
        The positions in `images`.
    """
    # In units of x and y the side has length 2.
    return x - normal(images)[:, 0] * (2 * sigma), y - normal(images)[:, 0] * (2 * sigma)
