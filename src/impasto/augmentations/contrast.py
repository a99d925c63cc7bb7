"""Random contrast around the middle grey (ADA: Karras et al. 2020, arXiv:2006.06676, appendix B)."""

from torch import Tensor

from impasto.augmentations._draws import normal


def augment(images: Tensor, *, sigma: float = 0.5) -> Tensor:
    """Multiply each image by a random factor.

    Args:
        images: [B, 3, H, W].
        sigma: standard deviation of the factor's binary logarithm.
    """
    return images * (normal(images) * sigma).exp2()
