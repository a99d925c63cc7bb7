"""Layers that several families share."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zeroed(layer: Layer) -> Layer:
    """The layer with weights and biases of zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def attended(queries_keys_values: Tensor, heads: int) -> Tensor:
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2) with queries and
    keys divided by their root mean square, so that their products stay bounded.

    Args:
        queries_keys_values: [B, positions, 3 * C].
        heads: their number, a divisor of C.

    Returns:
        [B, positions, C].
    """
    count, positions, _ = queries_keys_values.shape
    split = queries_keys_values.reshape(count, positions, 3, heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = split.unbind(0)
    result = F.scaled_dot_product_attention(_unit(queries), _unit(keys), values)
    return result.transpose(1, 2).flatten(2)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors [..., D] divided by their root mean square, computed in float32 at least."""
    exact = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    unit: Tensor = F.rms_norm(exact, exact.shape[-1:])
    return unit.to(vectors.dtype)


class Doubling(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 and a 3x3 convolution, computed as one transposed
    convolution.

    Upsampling copies each value to a 2x2 square. So both steps together are a transposed 4x4
    convolution with stride 2, whose kernel sums the 3x3 kernel over such squares. This takes 4/9
    of the operations, and the upsampled maps are never stored.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        kernel = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))
        kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
        kernel = kernel[:, :, :, 1:] + kernel[:, :, :, :-1]
        return F.conv_transpose2d(maps, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class Deviation(nn.Module):
    """Appends a channel to maps [B, C, h, w]: the mean standard deviation over the batch (Karras
    et al. 2018, arXiv:1710.10196, section 3).

    It lets the discriminator detect a generator that makes the same image again and again.
    """

    measured: float | None = None
    """A fixed value of the channel, for outputs that must not depend on the batch; see
    `evaluation/discriminator.py`."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.measured is None:
            deviation = torch.sqrt(maps.var(dim=0, unbiased=False) + 1e-8).mean()
        else:
            deviation = maps.new_tensor(self.measured)
        return torch.cat([maps, deviation.expand(len(maps), 1, *maps.shape[2:])], dim=1)


class GatedLinearUnit(nn.Module):
    """Maps [B, 2C, h, w] to [B, C, h, w]: the first half times the sigmoid of the second (Dauphin
    et al. 2017, arXiv:1612.08083, equation 1).

    It computes what `nn.GLU` does, in a quarter of the time on a CPU with channels last: the
    backward pass of `nn.GLU` copies all maps to another memory order and back.
    """

    def forward(self, maps: Tensor) -> Tensor:
        values, gates = maps.chunk(2, dim=1)
        return values * torch.sigmoid(gates)
