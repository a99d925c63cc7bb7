"""A random part set to zero, in the image's proportions: of square images a square (DeVries and
Taylor 2017, arXiv:1708.04552; in DiffAugment, Zhao et al. 2020, arXiv:2006.10738, section 3, and in
ADA, Karras et al. 2020, arXiv:2006.06676, appendix B)."""

import torch
from torch import Tensor


def augment(images: Tensor, *, size: float = 0.5) -> Tensor:
    """Set a part of each image to zero.

    Args:
        images: [B, 3, H, W].
        size: its sides as shares of the image's. Its centre is uniform in the image, so some of it
            may be outside.
    """

    def outside(side: int) -> Tensor:
        length = int(side * size + 0.5)
        # The centre of an even length is between two pixels, which gives one more position.
        centres = torch.randint(side + 1 - length % 2, (len(images), 1), device=images.device)
        into = torch.arange(side, device=images.device) - (centres - length // 2)
        return (into < 0) | (into >= length)

    height, width = images.shape[2:]
    kept = outside(height)[:, None, :, None] | outside(width)[:, None, None, :]
    return images * kept.to(images.dtype)
