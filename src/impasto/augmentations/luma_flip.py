"""Random inversion of brightness that keeps the hues (ADA's luma flip: Karras et al. 2020,
arXiv:2006.06676, appendix B)."""

from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(images: Tensor) -> Tensor:
    """Negate each pixel's grey, the mean of its channels, in images [B, 3, H, W], with
    probability 1/2."""
    taken = 2.0 * (uniform(images) < 0.5)
    return images - images.mean(dim=1, keepdim=True) * taken.to(images.dtype)
