"""Pictures of any size through the network, in tiles whose seams cannot be seen."""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.enlarging.network import FACTOR, Enlarger
from impasto.errors import ImpastoError

FACTORS = (2, 4)
TILE = 256
"""Side of a tile in pixels of the input; its maps take about 60 MB."""
_BORDER = 8
"""Pixels that are mirrored beyond the picture's border, so that zeros are not seen in it."""


def check_factor(by: int) -> None:
    """Raises: ImpastoError: pictures cannot be enlarged so many times."""
    if by not in FACTORS:
        raise ImpastoError(f"pictures are enlarged 2 or 4 times, not {by}")


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
def enlarged(images: Tensor, network: Enlarger, by: int = 4, *, tile: int = TILE) -> Tensor:
    """Enlarge images.

    The result is the same, but for rounding, whatever the side of the tiles: each is computed with
    as many pixels around it as the network looks at.

    Args:
        images: uint8 [B, H, W, 3].
        network: in evaluation mode, on any device.
        by: 2 or 4. For 2, each 2x2 pixels of the four times enlarged image are averaged.
        tile: side of the tiles in pixels of the input.

    Returns:
        uint8 [B, by H, by W, 3] on the CPU.

    Raises:
        ImpastoError: another factor.
    """
    check_factor(by)
    weight = network.first.weight
    inputs = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    inputs, border = _mirrored(inputs)
    height, width = inputs.shape[-2:]
    made = torch.empty(len(images), by * height, by * width, 3, dtype=torch.uint8)
    reach = network.reach
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            above, before = max(0, top - reach), max(0, left - reach)
            part = inputs[:, :, above : bottom + reach, before : right + reach]
            whole = network(part.to(weight.device, weight.dtype)).float()
            rows = slice(FACTOR * (top - above), FACTOR * (bottom - above))
            columns = slice(FACTOR * (left - before), FACTOR * (right - before))
            whole = whole[:, :, rows, columns]
            if by != FACTOR:
                whole = F.avg_pool2d(whole, FACTOR // by)
            pixels = ((whole + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
            made[:, by * top : by * bottom, by * left : by * right] = pixels.permute(0, 2, 3, 1)
    inner = slice(by * border, -by * border or None)
    return made[:, inner, inner]
