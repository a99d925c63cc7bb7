"""The network that enlarges pictures four times."""

import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 4
"""Sides of the output by those of the input."""


class _Block(nn.Module):
    """Maps [B, C, h, w] and what two 3x3 convolutions add to them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.activation = nn.PReLU(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, maps: Tensor) -> Tensor:
        added: Tensor = self.second(self.activation(self.first(maps)))
        return maps + added


class Enlarger(nn.Module):
    """Images [B, 3, H, W] in [-1, 1] to images [B, 3, 4H, 4W] in [-1, 1].

    All convolutions work at the size of the input; the last one's channels are the 16 pixels that
    each pixel becomes (Shi et al. 2016, arXiv:1609.05158), and are added to the bilinearly enlarged
    input. Residual blocks without normalisation, as in EDSR (Lim et al. 2017, arXiv:1707.02921).

    Args:
        width: channels.
        blocks: residual blocks of two convolutions each.
    """

    def __init__(self, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        self.width, self.blocks = width, blocks
        self.factor, self.multiple = FACTOR, 1
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.last = nn.Conv2d(width, 3 * FACTOR**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @property
    def reach(self) -> int:
        """Pixels of the input, in each direction, that a pixel of the output depends on."""
        return 2 * self.blocks + 2

    def forward(self, images: Tensor) -> Tensor:
        added = F.pixel_shuffle(self.last(self.body(self.first(images))), FACTOR)
        base = F.interpolate(images, scale_factor=FACTOR, mode="bilinear", align_corners=False)
        return (base + added).clamp(-1, 1)
