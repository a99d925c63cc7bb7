"""Augmentation of a denoiser's training pictures, with augmentation labels (Karras et al. 2022,
arXiv:2206.00364, appendix F.2).

The labels say how a picture was changed, and the denoiser is conditioned on them. When sampling they are
zero, so it makes pictures without any of these changes. The kinds of change are EDM's: mirroring left to
right, mirroring top to bottom, scaling, rotation, stretching and shifting. All changes of a picture are
one affine map, so it is resampled once, bilinearly. Beyond its edges it is mirrored.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_SCALING = 0.2 * math.log(2)  # standard deviation of the logarithm of a scale or stretch
_SHIFT = 0.125 * 2  # standard deviation of a shift, with the picture's edges at -1 and 1


def augment_with_labels(images: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Change images at random; gives them with their augmentation labels.

    Args:
        images: [B, 3, H, W].
        probability: of each of the six kinds of change, for each image, 0 to 1.

    Returns:
        Images [B, 3, H, W] and labels [B, 9], of a magnitude of about 1; see `affine_maps`. An image for
        which no change is drawn stays the same bit for bit, and its labels are zeros.
    """
    count = len(images)
    drawn = (torch.rand(count, 6, device=images.device) < probability).to(images.dtype)
    mirrored, (scaled, turned, stretched, shifted) = drawn[:, :2], drawn[:, 2:, None].unbind(1)
    angle = (2 * torch.rand(count, 1, device=images.device) - 1) * math.pi * turned
    values = torch.cat(
        [
            mirrored,
            torch.randn(count, 1, device=images.device) * scaled,
            *(angle.cos() - 1, angle.sin()),
            torch.randn(count, 2, device=images.device) * stretched,
            torch.randn(count, 2, device=images.device) * shifted,
        ],
        dim=1,
    )
    grid = F.affine_grid(
        affine_maps(values, images.shape[2] / images.shape[3]),
        list(images.shape),
        align_corners=False,
    )
    changed = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return torch.where(drawn.any(dim=1)[:, None, None, None], changed, images), values


def affine_maps(values: Tensor, tall: float = 1.0) -> Tensor:
    """Affine maps [B, 2, 3] from positions in the changed images to positions in the images.

    Positions are from -1 to 1 between the edges, to the right and down.

    Args:
        values: [B, 9]: whether mirrored left to right, and top to bottom; logarithm of the scale;
            cosine - 1 and sine of the rotation; the logarithm of the stretch, a symmetric matrix
            [[a, b], [b, -a]], as a and b; shift to the right, and down.
        tall: height of the images divided by their width.
    """
    left_right, up_down, scale, cosine, sine, a, b, right, down = values.unbind(dim=1)
    mirror = torch.stack([1 - 2 * left_right, 1 - 2 * up_down], dim=1)[:, :, None]
    size = torch.exp(-_SCALING * scale)[:, None, None]
    turn = torch.stack([cosine + 1, sine, -sine, cosine + 1], dim=1).unflatten(1, (2, 2))
    # The exponential of -_SCALING times the matrix of the stretch.
    strength = torch.hypot(a, b).clamp(min=1e-6)
    same, other = (_SCALING * strength).cosh(), -(_SCALING * strength).sinh() / strength
    stretch = torch.stack(
        [same + other * a, other * b, other * b, same - other * a], dim=1
    ).unflatten(1, (2, 2))
    linear = mirror * size * (turn @ stretch)
    if tall != 1:  # The positions' units are half the width and half the height.
        linear = linear * linear.new_tensor([[1, tall], [1 / tall, 1]])
    shift = _SHIFT * torch.stack([right, down], dim=1)[:, :, None]
    return torch.cat([linear, -linear @ shift], dim=2)
