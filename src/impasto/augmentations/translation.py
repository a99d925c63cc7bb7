"""Translation by whole pixels (DiffAugment: Zhao et al. 2020, arXiv:2006.10738, section 3; the integer
translation of ADA, Karras et al. 2020, arXiv:2006.06676, appendix B, has the same reach, and mirrors the
picture where this one moves grey in)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, *, reach: float = 0.125) -> Tensor:
    """Args:
    images: [B, 3, H, W].
    reach: down and across, each is uniform among the whole pixels of at most this share of the
        side, either way. Zeros, the middle grey, are moved in.
    """
    most = int(max(images.shape[2:]) * reach + 0.5)
    moves = torch.randint(-most, most + 1, (2, len(images)), device=images.device)
    moved: Tensor = _Move.apply(images, moves, most)
    return moved


class _Move(torch.autograd.Function):
    """Moves pictures [B, C, H, W] down by moves[0] and right by moves[1], at most `most` pixels.

    What moved out is lost and zeros come in, so the gradient is moved the opposite way. Autograd's
    own of an index would add up value by value.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, moves: Tensor, most: int) -> Tensor:
        ctx.save_for_backward(moves)
        ctx.most = most
        height, width = images.shape[2:]
        # A view of all the places where the picture's frame can lie on the padded one; each picture
        # takes one of them.
        frames = F.pad(images, (most,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        every = torch.arange(len(images), device=images.device)
        return frames[every, :, most - moves[0], most - moves[1]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (moves,) = ctx.saved_tensors
        gradient: Tensor = _Move.apply(gradients[0], -moves, ctx.most)
        return gradient, None, None
