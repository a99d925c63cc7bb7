"""Random scaling around the centre (ADA's isotropic scaling: Karras et al. 2020,
arXiv:2006.06676, appendix B). Unlike theirs, reduction is not filtered against aliasing."""

from torch import Tensor

from impasto.augmentations._draws import normal


def source(images: Tensor, x: Tensor, y: Tensor, *, sigma: float = 0.2) -> tuple[Tensor, Tensor]:
    """Scale each image.

    Args:
        images: [B, 3, H, W].
        x, y: positions [B, H, W] in the scaled image.
        sigma: standard deviation of the factor's binary logarithm.

    Returns:
        The positions in `images`.
    """
    factor = (normal(images)[:, 0] * sigma).exp2()
    return x / factor, y / factor
