"""Canvases: pictures of any size by the convolutions of a generator.

The first maps of a generator are n x n positions (`canvas_side`), each computed from the latent by
weights of its own. The layers after them see near positions only. So larger first maps give a larger
picture. Those of a canvas of R x C pictures are R x C squares of n x n positions, each position
computed from the latent that a field has there. A field has values at every position of the first maps:
[B, V, R * n, C * n].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def placed(weight: Tensor, field: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a layer from one vector to maps of n x n positions, such as a generator's first one, to a
    field of vectors.

    Args:
        weight: [V, C, n, n], as of `nn.ConvTranspose2d`.
        field: [B, V, R * n, C * n].
        bias: [C], or [C, n, n].

    Returns:
        [B, C, R * n, C * n]. Each square of n x n positions with the same vector everywhere is what the
        layer makes of this vector.
    """
    side = weight.shape[2]
    squares = field.unflatten(3, (-1, side)).unflatten(2, (-1, side))
    maps = torch.einsum("bvrycx,voyx->borycx", squares, weight.to(field.dtype))
    if bias is not None:
        bias = bias.to(maps.dtype)
        maps = maps + (bias[:, None, :, None] if bias.ndim == 3 else bias.view(-1, 1, 1, 1, 1))
    return maps.flatten(4, 5).flatten(2, 3)


def placed_linear(linear: nn.Linear, side: int, field: Tensor) -> Tensor:
    """`placed` for a linear layer whose output is reshaped to maps [C, n, n].

    Args:
        linear: from V values to C * n * n.
        side: n.
        field: [B, V, R * n, C * n].
    """
    weight = linear.weight.unflatten(0, (-1, side, side)).movedim(3, 0)
    bias = None if linear.bias is None else linear.bias.unflatten(0, (-1, side, side))
    return placed(weight, field, bias)


def placed_sequence(layers: nn.Module, field: Tensor) -> Tensor:
    """A sequence of layers, the first of which is such a transposed convolution; see `placed`."""
    assert isinstance(layers, nn.Sequential)
    first, *others = layers
    assert isinstance(first, nn.ConvTranspose2d)
    maps = placed(first.weight, field, first.bias)
    for layer in others:
        maps = layer(maps)
    return maps


def at_positions(linear: nn.Linear, field: Tensor) -> Tensor:
    """A linear layer at every position: a field [B, V, h, w] to [B, C, h, w]."""
    values: Tensor = linear(field.movedim(1, -1))
    return values.movedim(-1, 1)


def spread(field: Tensor, maps: Tensor) -> Tensor:
    """A field at the positions of larger maps [B, C, H, W], interpolated bilinearly."""
    if field.shape[2:] == maps.shape[2:]:
        return field
    return F.interpolate(field, maps.shape[2:], mode="bilinear")
