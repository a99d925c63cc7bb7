"""Random brightness, saturation and contrast (DiffAugment: Zhao et al. 2020, arXiv:2006.10738,
section 3).

A uniform number is added to all values. Then each pixel's difference to its own grey is scaled,
then its difference to the image's mean.
"""

from torch import Tensor

from impasto.augmentations._draws import uniform


def augment(
    images: Tensor, *, brightness: float = 0.5, saturation: float = 1.0, contrast: float = 0.5
) -> Tensor:
    """Change brightness, saturation and contrast of each image.

    Args:
        images: [B, 3, H, W].
        brightness: the added number is uniform in plus or minus this.
        saturation: the factor is uniform in 1 plus or minus this.
        contrast: the factor is uniform in 1 plus or minus this.
    """
    b = (2 * uniform(images) - 1) * brightness
    s = 1 + (2 * uniform(images) - 1) * saturation
    c = 1 + (2 * uniform(images) - 1) * contrast
    grey = images.mean(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    # With x1 = x + b, x2 = s (x1 - grey1) + grey1 and x3 = c (x2 - mean2) + mean2, where grey1 =
    # grey + b and mean2 = mean + b, multiplied out: one pass over the three channels instead of six.
    return images * (c * s) + (grey * (c * (1 - s)) + ((1 - c) * mean + b))
