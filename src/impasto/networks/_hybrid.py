"""Convolutions around a transformer, for networks that remove noise.

A transformer alone shows the edges of its squares, unless they are small and many (Peebles and Xie 2023,
arXiv:2212.09748, compare squares of 2, 4 and 8). Here residual blocks of convolutions work on squares of
half the side before and after the transformer, across the edges of its tokens, and pass each other their
maps, as the levels of a U-Net do (Hoogeboom et al. 2023, simple diffusion, arXiv:2301.11093, have a
transformer at the lowest level too).

Shapes: B images; C channels of the images; E values of the embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks import _transformer, _unet
from impasto.networks._layers import zeroed


class Hybrid(nn.Module):
    """Maps [B, C, H, W] and an embedding [B, E] to maps [B, C, H, W], zero at initialisation.

    Args:
        channels: C of the images.
        side: H = W of the images.
        embedding: E.
        patch: side of the squares of pixels that the convolutions work on; a token is 2 x 2 of them.
        width: channels of the convolutions.
        blocks: residual blocks of convolutions, before and after the transformer.
        token_width: values of a token, a multiple of 64.
        depth: blocks of the transformer.
        dropout: probability that values inside the blocks are set to 0 in training.

    Raises:
        ImpastoError: the side cannot be divided into such squares.
    """

    def __init__(
        self,
        *,
        channels: int,
        side: int,
        embedding: int,
        patch: int,
        width: int,
        blocks: int,
        token_width: int,
        depth: int,
        dropout: float,
    ) -> None:
        super().__init__()
        unit = 2 * patch
        if side % unit:
            raise ImpastoError(
                f"this network makes pictures or latents of {unit}, {2 * unit}, {3 * unit}, ... a side, "
                f"not {side}; choose another --set resolution, or another --set generator.patch"
            )
        along = side // unit
        self.to_squares = nn.PixelUnshuffle(patch)
        self.from_squares = nn.PixelShuffle(patch)
        pixels = channels * patch**2
        self.first = nn.Conv2d(pixels, width, 3, padding=1)
        before, after = (
            nn.ModuleList(_unet.Block(k * width, width, embedding, dropout) for _ in range(blocks))
            for k in (1, 2)
        )
        self.before, self.after = before, after
        self.halving = nn.Conv2d(width, token_width, 2, stride=2)
        self.positions = nn.Parameter(0.02 * torch.randn(along**2, token_width))
        self.tokens = nn.ModuleList(
            _transformer.Block(token_width, embedding, dropout) for _ in range(depth)
        )
        self.tokens_norm = nn.RMSNorm(token_width)
        self.doubling = nn.ConvTranspose2d(token_width, width, 2, stride=2)
        self.last_norm = _unet.Normalisation(width)
        self.last = zeroed(nn.Conv2d(width, pixels, 3, padding=1))

    def _attend(self, maps: Tensor, embedding: Tensor) -> Tensor:
        """The transformer, on maps [B, T, h, w]."""
        tokens = maps.flatten(2).transpose(1, 2) + self.positions
        for block in self.tokens:
            tokens = block(tokens, embedding)
        normed: Tensor = self.tokens_norm(tokens)
        return normed.transpose(1, 2).reshape(maps.shape)

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        # A convolution keeps the memory format of its input, and channels last is faster.
        maps = self.first(self.to_squares(maps).contiguous(memory_format=torch.channels_last))
        kept: list[Tensor] = []
        for block in self.before:
            maps = block(maps, embedding)
            kept.append(maps)
        maps = self.doubling(self._attend(self.halving(maps), embedding))
        for block in self.after:
            maps = block(torch.cat([maps, kept.pop()], dim=1), embedding)
        images: Tensor = self.from_squares(self.last(F.silu(self.last_norm(maps))))
        return images
