"""Random saturation around each pixel's grey (ADA: Karras et al. 2020, arXiv:2006.06676, appendix
B)."""

from torch import Tensor

from impasto.augmentations._draws import normal


def augment(images: Tensor, *, sigma: float = 1.0) -> Tensor:
    """Multiply each pixel's difference to its grey by a random factor an image.

    Args:
        images: [B, 3, H, W].
        sigma: standard deviation of the factor's binary logarithm.
    """
    factor = (normal(images) * sigma).exp2()
    return images * factor + images.mean(dim=1, keepdim=True) * (1 - factor)
