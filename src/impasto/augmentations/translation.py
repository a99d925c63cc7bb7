"""Random translation by whole pixels (DiffAugment: Zhao et al. 2020, arXiv:2006.10738, section 3).

ADA's integer translation (Karras et al. 2020, arXiv:2006.06676, appendix B) has the same range.
It mirrors the image at the edges, where this one fills with grey.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, *, reach: float = 0.125) -> Tensor:
    """Translate each image.

    Args:
        images: [B, 3, H, W].
        reach: largest distance in each direction, as a share of the longer side. Distances are uniform
            among whole pixels. Gaps are filled with zeros, the middle grey.
    """
    most = int(max(images.shape[2:]) * reach + 0.5)
    moves = torch.randint(-most, most + 1, (2, len(images)), device=images.device)
    moved: Tensor = _Move.apply(images, moves, most)
    return moved


class _Move(torch.autograd.Function):
    """Moves images [B, C, H, W] down by moves[0] and right by moves[1], at most `most` pixels.

    Pixels moved outside are lost and gaps are filled with zeros, so the gradient is moved the
    opposite way. Autograd's own gradient of indexing would add value by value.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, moves: Tensor, most: int) -> Tensor:
        ctx.save_for_backward(moves)
        ctx.most = most
        height, width = images.shape[2:]
        # A view of all positions of the image's frame on the padded image. Each image uses one.
        frames = F.pad(images, (most,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        every = torch.arange(len(images), device=images.device)
        return frames[every, :, most - moves[0], most - moves[1]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (moves,) = ctx.saved_tensors
        gradient: Tensor = _Move.apply(gradients[0], -moves, ctx.most)
        return gradient, None, None
