"""Pictures of any size through the network, in tiles whose seams cannot be seen."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.sampling.pixels import as_images

FACTORS = (2, 4)
TILE = 256
"""Side of a tile in pixels of the input; its maps take about 60 MB."""
_BORDER = 8
"""Pixels that are mirrored beyond the picture's border, so that zeros are not seen in it."""


class EnlargingNetwork(Protocol):
    """A network from images [B, 3, H, W] in [-1, 1] to images [B, 3, factor H, factor W] in [-1, 1]."""

    factor: int
    multiple: int
    """Tiles begin at multiples of this many pixels of the picture, so that windows of attention lie in
    the same places in every tile."""

    @property
    def reach(self) -> int:
        """Pixels of the input, in each direction, that a pixel of the output depends on."""

    def __call__(self, images: Tensor, /) -> Tensor: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def check_factor(by: int) -> None:
    """Raises: ImpastoError: pictures cannot be enlarged so many times."""
    if by not in FACTORS:
        raise ImpastoError(f"pictures are enlarged 2 or 4 times, not {by}")


def check_fits(network: EnlargingNetwork, by: int) -> None:
    """Raises: ImpastoError: pictures cannot be enlarged so many times by this network."""
    check_factor(by)
    if network.factor % by:
        fitting = [str(each) for each in FACTORS if network.factor % each == 0]
        what = f"give --by {fitting[0]}" if fitting else "give another one"
        raise ImpastoError(
            f"this network enlarges {network.factor} times, which does not give {by} times: {what}"
        )


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of tiles of about the same length, together `length`."""
    count = -(-length // tile)
    ends = [length * number // count for number in range(count + 1)]
    yield from pairwise(ends)


def _mirrored(images: Tensor) -> tuple[Tensor, int]:
    """Images [B, 3, H, W] with a border of their own mirrored pixels, and its width."""
    border = min(_BORDER, images.shape[-1] - 1, images.shape[-2] - 1)
    return F.pad(images, (border,) * 4, mode="reflect") if border else images, border


@torch.no_grad()
def enlarged(images: Tensor, network: EnlargingNetwork, by: int = 4, *, tile: int = TILE) -> Tensor:
    """Enlarge images.

    The result is the same, but for rounding, whatever the side of the tiles: each is computed with
    as many pixels around it as the network looks at. Of networks that look further than they are shown
    (`known.py`) it is nearly the same.

    Args:
        images: uint8 [B, H, W, 3].
        network: in evaluation mode, on any device.
        by: 2 or 4. For less than the network's own factor, pixels are averaged: for 2, each 2x2 of the
            four times enlarged image.
        tile: side of the tiles in pixels of the input.

    Returns:
        uint8 [B, by H, by W, 3] on the CPU.

    Raises:
        ImpastoError: another factor, or one that the network cannot do.
    """
    check_fits(network, by)
    weight, factor = next(network.parameters()), network.factor
    inputs = as_images(images)
    inputs, border = _mirrored(inputs)
    height, width = inputs.shape[-2:]
    made = torch.empty(len(images), by * height, by * width, 3, dtype=torch.uint8)
    reach, multiple = network.reach, network.multiple
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            above, before = (max(0, at - reach) // multiple * multiple for at in (top, left))
            part = inputs[:, :, above : bottom + reach, before : right + reach]
            whole = network(part.to(weight.device, weight.dtype)).float()
            rows = slice(factor * (top - above), factor * (bottom - above))
            columns = slice(factor * (left - before), factor * (right - before))
            whole = whole[:, :, rows, columns]
            if by != factor:
                whole = F.avg_pool2d(whole, factor // by)
            pixels = ((whole + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
            made[:, by * top : by * bottom, by * left : by * right] = pixels.permute(0, 2, 3, 1)
    inner = slice(by * border, -by * border or None)
    return made[:, inner, inner]
