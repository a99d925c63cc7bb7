"""Random brightness (ADA: Karras et al. 2020, arXiv:2006.06676, appendix B)."""

from torch import Tensor

from impasto.augmentations._draws import normal


def augment(images: Tensor, *, sigma: float = 0.2) -> Tensor:
    """Add one random number to all pixels of an image.

    Args:
        images: [B, 3, H, W].
        sigma: standard deviation of the number.
    """
    return images + normal(images) * sigma
