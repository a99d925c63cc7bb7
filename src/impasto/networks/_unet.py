"""A U-Net for networks that remove noise (Ho et al. 2020, arXiv:2006.11239, appendix B).

Each square of `patch` x `patch` pixels becomes channels first, so no convolution runs at full
resolution. Then come levels of residual blocks, each at half the side of the one before, and the
same levels in reverse, which also get the maps of the first half. An embedding scales and shifts the
second normalisation of each block (Dhariwal and Nichol 2021, arXiv:2105.05233, section 3). The
lowest level has one layer of attention.

Shapes: B images; C channels; h, w sides of maps; E values of the embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.networks._layers import attended, zeroed
from impasto.resolution import Resolution, width_and_height

_IN_GROUP = 8  # channels that are normalised together
_IN_HEAD = 64  # channels of an attention head, at most


class Normalisation(nn.GroupNorm):
    """Group normalisation without learned values, computed in float32 at least.

    On a CPU torch's own is several times slower in bfloat16 than in float32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(max(1, channels // _IN_GROUP), channels, affine=False)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.to(torch.promote_types(maps.dtype, torch.float32)))


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, the identity at initialisation if the channels stay.

    Args:
        inputs: channels of its input.
        outputs: channels of its output.
        embedding: E.
        dropout: probability that a value between the convolutions is set to 0 in training.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.first_norm = Normalisation(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second_norm = Normalisation(outputs)
        self.scale_shift = nn.Linear(embedding, 2 * outputs)
        self.dropout = nn.Dropout(dropout)
        self.second = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        between = self.second_norm(self.first(F.silu(self.first_norm(maps))))
        scale, shift = self.scale_shift(embedding)[:, :, None, None].to(between.dtype).chunk(2, 1)
        between = self.dropout(F.silu(torch.addcmul(shift, between, 1 + scale)))
        changed: Tensor = self.skip(maps) + self.second(between)
        return changed


class Attention(nn.Module):
    """Self-attention among all positions of maps [B, C, h, w], the identity at initialisation.

    Queries and keys are normalised to a mean square of 1.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = -(-channels // _IN_HEAD)
        self.norm = Normalisation(channels)
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.last = zeroed(nn.Linear(channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        positions = self.norm(maps).flatten(2).transpose(1, 2)  # [B, h * w, C]
        changed = self.last(attended(self.queries_keys_values(positions), self.heads))
        return maps + changed.transpose(1, 2).reshape(maps.shape)


def check_halves(resolution: Resolution, patch: int, levels: int) -> None:
    """Check that a size can be divided into squares of `patch` pixels and halved at each further level.

    Raises:
        ImpastoError: it cannot.
    """
    unit = patch << (levels - 1)
    if any(side % unit for side in width_and_height(resolution)):
        raise ImpastoError(
            f"this U-Net makes pictures of {unit}, {2 * unit}, {3 * unit}, ... pixels, not "
            f"{resolution}; choose one of these with --set resolution, or another --set "
            "generator.patch"
        )


class UNet(nn.Module):
    """Maps [B, C, H, W] and an embedding [B, E] to maps [B, C, H, W], zero at initialisation.

    Args:
        channels: C of the images.
        resolution: H x W of the images.
        embedding: E.
        patch: side of the squares of pixels that become channels.
        widths: channels of each level, the highest level first.
        blocks: residual blocks of each level, in each half.
        dropout: see `Block`.

    Raises:
        ImpastoError: the side cannot be divided into such squares and halved at each further level.
    """

    def __init__(
        self,
        *,
        channels: int,
        resolution: Resolution,
        embedding: int,
        patch: int,
        widths: tuple[int, ...],
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_halves(resolution, patch, len(widths))
        self.to_squares = nn.PixelUnshuffle(patch)
        self.from_squares = nn.PixelShuffle(patch)
        pixels = channels * patch**2
        self.first = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.halvings = nn.ModuleList()
        self.doublings = nn.ModuleList()
        for level, width in enumerate(widths):
            if level:
                self.halvings.append(nn.Conv2d(widths[level - 1], width, 2, stride=2))
                self.doublings.append(nn.ConvTranspose2d(width, widths[level - 1], 2, stride=2))
            same, joined = (
                nn.ModuleList(Block(k * width, width, embedding, dropout) for _ in range(blocks))
                for k in (1, 2)
            )
            self.down.append(same)
            self.up.append(joined)
        self.attention = Attention(widths[-1])
        self.last_norm = Normalisation(widths[0])
        self.last = zeroed(nn.Conv2d(widths[0], pixels, 3, padding=1))

    def forward(self, maps: Tensor, embedding: Tensor) -> Tensor:
        # A convolution keeps the memory format of its input, and channels last is faster.
        maps = self.first(self.to_squares(maps).contiguous(memory_format=torch.channels_last))
        kept: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                maps = self.halvings[level - 1](maps)
            for block in blocks:  # type: ignore[attr-defined]
                maps = block(maps, embedding)
                kept.append(maps)
        maps = self.attention(maps)
        for level in reversed(range(len(self.up))):
            for block in self.up[level]:  # type: ignore[attr-defined]
                maps = block(torch.cat([maps, kept.pop()], dim=1), embedding)
            if level:
                maps = self.doublings[level - 1](maps)
        images: Tensor = self.from_squares(self.last(F.silu(self.last_norm(maps))))
        return images
