"""Label conditioning that several families use.

Shapes: B pictures; F label fields; K classes of a field; C channels; E values of an embedding.
An unknown label (-1) adds nothing anywhere, so a picture may be asked for by some of the fields, or
by none.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from impasto.networks import one_hot

_LEAST_SCALE = 0.05


class LabelEmbedding(nn.Module):
    """Labels [B, F] (int64, -1 = unknown) to embeddings [B, E]: the sum of a learned row a field.

    `fields` holds one matrix [K, E] a field, a row a class. Rows are drawn so that the sum over all
    fields begins as N(0, 1) in each value.

    Args:
        label_sizes: K of each field, one at least.
        dim: E.
    """

    def __init__(self, label_sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        self.fields = nn.ParameterList(
            torch.randn(size, dim) / math.sqrt(len(label_sizes)) for size in label_sizes
        )

    def forward(self, labels: Tensor) -> Tensor:
        rows = torch.cat([cast(Tensor, field) for field in self.fields])
        return one_hot(labels, self.label_sizes).to(rows.dtype) @ rows


class ConditionalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose gain and bias depend on an embedding (de Vries et al. 2017, arXiv:1707.00683,
    section 3.2; Dumoulin et al. 2017, arXiv:1610.07629, equation 5).

    Maps [B, C, h, w] are normalised, scaled and shifted as by plain batch norm, whose names the
    weights keep, and then become (1 + gain(e)) * maps + shift(e), both linear without a bias: where
    nothing is known of the label, e = 0, this is plain batch norm.

    Args:
        channels: C.
        dim: E.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__(channels)
        self.gain = nn.Linear(dim, channels, bias=False)
        self.shift = nn.Linear(dim, channels, bias=False)
        for linear in (self.gain, self.shift):
            nn.init.normal_(linear.weight, 0.0, 0.02)

    def forward(self, maps: Tensor, embedding: Tensor | None = None) -> Tensor:
        maps = super().forward(maps)
        if embedding is None:
            return maps
        gain, shift = self.gain(embedding), self.shift(embedding)
        return torch.addcmul(shift[:, :, None, None], 1 + gain[:, :, None, None], maps)


def with_new_condition(
    weight: Tensor, bias: Tensor, gain: Tensor, shift: Tensor, constant: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The values of a conditional batch norm that is to be told something else of the classes, but the
    same of the rest: for (anything, z) it does what the given values do for (constant, z).

    Args:
        weight: [C], of the plain batch norm.
        bias: [C], likewise.
        gain: [C, T + Z], of an embedding whose first T values are of the classes.
        shift: likewise.
        constant: [T], in the place of those.
        width: W, values that it is to be told of classes in their place; it does not heed them yet.

    Returns:
        Weight and bias [C], gain and shift [C, W + Z].
    """
    known = len(constant)
    scale = 1 + gain[:, :known] @ constant
    # The latent's part is divided by it; where it is about nothing, what is painted changes a little.
    scale = torch.where(scale.abs() < _LEAST_SCALE, _LEAST_SCALE, scale)
    moved = (shift[:, :known] @ constant) / scale
    rest = gain[:, known:]
    unheeded = rest.new_zeros(len(rest), width)
    return (
        scale * weight,
        scale * (bias + moved),
        torch.cat([unheeded, rest / scale[:, None]], dim=1),
        torch.cat([unheeded, shift[:, known:] - moved[:, None] * rest], dim=1),
    )


class Projection(nn.Module):
    """How well features go with a label: <embedding of the label, features> / sqrt(C), at every
    position (Miyato and Koyama 2018, arXiv:1802.05637, equation 3).

    Features [B, C, h, w] and labels [B, F] give [B, 1, h, w], to be added to the logits. The root
    keeps what is added as large as one feature is, whatever C. Embeddings begin at zero: a
    discriminator knows no classes until it has learned them.

    Args:
        label_sizes: K of each field.
        channels: C.
    """

    def __init__(self, label_sizes: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.embedding = LabelEmbedding(label_sizes, channels)
        for rows in self.embedding.fields:
            nn.init.zeros_(cast(Tensor, rows))
        self.scale = 1 / math.sqrt(channels)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        known = self.embedding(labels)[:, :, None, None]
        return (features * known).sum(dim=1, keepdim=True) * self.scale
