"""Resampling of images at given positions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the pixels of images [B, 3, H, W]: x to the right and y down, each [B, H, W],
    from -1 to 1 between the image's edges."""

    def centres(side: int) -> Tensor:
        steps = torch.arange(side, device=images.device, dtype=images.dtype)
        return (2 * steps + 1) / side - 1

    count, _, height, width = images.shape
    x = centres(width)[None, None, :].expand(count, height, width)
    return x, centres(height)[None, :, None].expand(count, height, width)


def resample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Images [B, 3, H, W] sampled at positions x, y [B, H, W]: bilinear between pixels, mirrored
    beyond the edges."""
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    resampled: Tensor = _Resample.apply(images, torch.stack((x, y), dim=-1))
    return resampled.contiguous(
        memory_format=torch.channels_last if last else torch.contiguous_format
    )


class _Resample(torch.autograd.Function):
    """Bilinear sampling by a grid [B, H, W, 2] without gradient.

    It is linear in the images, so its gradient is its adjoint, and the adjoint's gradient is the
    sampling again. torch's own cannot be differentiated twice, which R1 needs.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradients[0], *ctx.saved_tensors), None


class _Spread(torch.autograd.Function):
    """The adjoint: each value is distributed over the pixels that it would be sampled from."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        # Of the sampled images only the shape is used, which is that of the values. In torch's
        # numbering 0 is bilinear and 2 is reflection.
        pixels, _ = torch.ops.aten.grid_sampler_2d_backward(
            values, values, grid, 0, 2, False, [True, False]
        )
        return pixels

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Resample.apply(gradients[0], *ctx.saved_tensors), None
