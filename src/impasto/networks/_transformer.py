"""A transformer on patches of pixels, for networks that remove noise (Peebles and Xie 2023,
arXiv:2212.09748, section 3; Li and He 2025, arXiv:2511.13720, section 4).

Each square of `patch` x `patch` pixels is one token. An embedding scales and shifts the two
normalisations of each block and scales what the block adds, which is nothing at initialisation
(adaLN-Zero). Normalisation is by the root mean square, the layers after attention are SwiGLU
(Shazeer 2020, arXiv:2002.05202), and the positions are learned.

Shapes: B images; C channels of the images; N tokens of an image; W values of a token; E values of the
embedding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks._layers import attended, zeroed
from impasto.resolution import Resolution, width_and_height

_IN_HEAD = 64  # values of an attention head


def _normalised(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Tokens [B, N, W] divided by their root mean square, scaled and shifted by [B, 1, W]."""
    return F.rms_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift


class Block(nn.Module):
    """Attention, then a gated layer, each added to its input; the identity at initialisation.

    In mixed precision the tokens themselves stay float32.

    Args:
        width: W, a multiple of 64.
        embedding: E.
        dropout: probability that a value that is added is set to 0 in training.
    """

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.heads = width // _IN_HEAD
        between = 8 * width // 3
        self.modulation = zeroed(nn.Linear(embedding, 6 * width))
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention = nn.Linear(width, width)
        self.gates_values = nn.Linear(width, 2 * between)
        self.last = nn.Linear(between, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        modulation = self.modulation(embedding)[:, None].to(tokens.dtype)
        scale, shift, gate, second_scale, second_shift, second_gate = modulation.chunk(6, dim=2)
        between = self.queries_keys_values(_normalised(tokens, scale, shift))
        added = self.dropout(self.attention(attended(between, self.heads)))
        tokens = tokens + gate * added
        between = self.gates_values(_normalised(tokens, second_scale, second_shift))
        gates, values = between.chunk(2, dim=2)
        added = self.dropout(self.last(F.silu(gates) * values))
        return tokens + second_gate * added


class Transformer(nn.Module):
    """Maps [B, C, H, W] and an embedding [B, E] to maps [B, C, H, W], zero at initialisation.

    Args:
        channels: C of the images.
        resolution: H x W of the images.
        embedding: E.
        patch: side of the squares of pixels that become tokens.
        width: W, a multiple of 64.
        depth: number of blocks.
        dropout: see `Block`.

    Raises:
        ImpastoError: the side cannot be divided into such squares.
    """

    def __init__(
        self,
        *,
        channels: int,
        resolution: Resolution,
        embedding: int,
        patch: int,
        width: int,
        depth: int,
        dropout: float,
    ) -> None:
        super().__init__()
        width_in_patches, height_in_patches = (
            side // patch for side in width_and_height(resolution)
        )
        if any(side % patch for side in width_and_height(resolution)):
            raise ImpastoError(
                f"this transformer makes pictures of {patch}, {2 * patch}, {3 * patch}, ... pixels, "
                f"not {resolution}; choose one of these with --set resolution, or another --set "
                "generator.patch"
            )
        self.patch, self.grid = patch, (height_in_patches, width_in_patches)
        pixels = channels * patch**2
        self.first = nn.Linear(pixels, width)
        self.positions = nn.Parameter(0.02 * torch.randn(math.prod(self.grid), width))
        self.blocks = nn.ModuleList(Block(width, embedding, dropout) for _ in range(depth))
        self.modulation = zeroed(nn.Linear(embedding, 2 * width))
        self.last = zeroed(nn.Linear(width, pixels))

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        squares = F.pixel_unshuffle(maps, self.patch).flatten(2).transpose(1, 2)
        tokens = self.first(squares) + self.positions
        for block in self.blocks:
            tokens = block(tokens, embedding)
        scale, shift = self.modulation(embedding)[:, None].to(tokens.dtype).chunk(2, dim=2)
        pixels = self.last(_normalised(tokens, scale, shift))
        squares = pixels.transpose(1, 2).unflatten(2, self.grid)
        return F.pixel_shuffle(squares, self.patch)
