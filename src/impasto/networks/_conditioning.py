"""Label conditioning that several families share.

Shapes: B images; F label fields; K classes of a field; C channels; E values of an embedding.

An unknown label (-1) contributes zero everywhere. So a generator can be conditioned on some of
the fields or on none.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from impasto.networks import one_hot
from impasto.networks._canvas import at_positions, spread

_LEAST_SCALE = 0.05


class LabelEmbedding(nn.Module):
    """Labels [B, F] (int64, -1 = unknown) to embeddings [B, E]: the sum of one learned row a field.

    `fields` holds one matrix [K, E] a field, with one row a class. Rows are initialised so that
    each value of the sum over all fields is N(0, 1). A field of class weights [B, K, h, w] gives one of
    embeddings [B, E, h, w].

    Args:
        label_sizes: K of each field, at least one field.
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
        weights = one_hot(labels, self.label_sizes).to(rows.dtype)
        return (weights.movedim(1, -1) @ rows).movedim(-1, 1)


class ConditionalBatchNorm2d(nn.BatchNorm2d):
    """Conditional batch norm: gain and bias depend on an embedding (de Vries et al. 2017,
    arXiv:1707.00683, section 3.2; Dumoulin et al. 2017, arXiv:1610.07629, equation 5).

    Maps [B, C, h, w] go through plain batch norm, whose parameters keep their names. The result
    becomes (1 + gain(e)) * maps + shift(e), where gain and shift are linear without bias. For e =
    0 (unknown label) this is plain batch norm. The embedding may be a field [B, E, h, w]; see
    `_canvas.py`.

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
        gain, shift = (self._of(linear, embedding, maps) for linear in (self.gain, self.shift))
        return torch.addcmul(shift, 1 + gain, maps)

    @staticmethod
    def _of(linear: nn.Linear, embedding: Tensor, maps: Tensor) -> Tensor:
        if embedding.ndim == 2:
            values: Tensor = linear(embedding)
            return values[:, :, None, None]
        return spread(at_positions(linear, embedding), maps)


def with_new_condition(
    weight: Tensor, bias: Tensor, gain: Tensor, shift: Tensor, constant: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Parameters of a conditional batch norm that is conditioned on other classes.

    The given layer is conditioned on (t, z): t of the classes and z of the rest. The new layer is
    conditioned on (w, z), with w of the new classes. For any w and z, it computes what the given
    layer computes for (constant, z).

    Args:
        weight: [C], of the plain batch norm.
        bias: [C], of the plain batch norm.
        gain: [C, T + Z] weights of the linear layer `gain`.
        shift: [C, T + Z] weights of the linear layer `shift`.
        constant: [T], the value of t.
        width: W, length of w. Its weights are zero at first.

    Returns:
        Weight and bias [C], gain and shift [C, W + Z].
    """
    classes = len(constant)
    scale = 1 + gain[:, :classes] @ constant
    # The weights of z are divided by the scale. Where it was raised to the least value, the result
    # differs a little.
    scale = torch.where(scale.abs() < _LEAST_SCALE, _LEAST_SCALE, scale)
    moved = (shift[:, :classes] @ constant) / scale
    rest = gain[:, classes:]
    zeros = rest.new_zeros(len(rest), width)
    return (
        scale * weight,
        scale * (bias + moved),
        torch.cat([zeros, rest / scale[:, None]], dim=1),
        torch.cat([zeros, shift[:, classes:] - moved[:, None] * rest], dim=1),
    )


class Projection(nn.Module):
    """The projection discriminator's label term: <embedding of the label, features> / sqrt(C), at
    every position (Miyato and Koyama 2018, arXiv:1802.05637, equation 3).

    Features [B, C, h, w] and labels [B, F] give [B, 1, h, w], which is added to the logits. The
    factor 1 / sqrt(C) keeps the term's scale independent of C. Embeddings are zero at
    initialisation, so the discriminator ignores labels at first.

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
        embedded = self.embedding(labels)[:, :, None, None]
        return (features * embedded).sum(dim=1, keepdim=True) * self.scale
