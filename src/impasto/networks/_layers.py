"""Layers that several families use."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Doubling(nn.Conv2d):
    """Nearest-neighbour doubling and a 3x3 convolution, computed as one.

    Each value of the small maps stands in a 2x2 square of the large ones, so the two steps are a
    transposed 4x4 convolution with stride 2, whose kernel is the 3x3 one summed over such squares:
    the same function with 4/9 of the operations, and the doubled maps are never held in memory.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        kernel = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))
        kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
        kernel = kernel[:, :, :, 1:] + kernel[:, :, :, :-1]
        return F.conv_transpose2d(maps, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class Deviation(nn.Module):
    """Maps [B, C, h, w] with one more channel: how much the batch varies (Karras et al. 2018,
    arXiv:1710.10196, section 3). A generator that paints the same picture again and again is found
    out at once."""

    measured: float | None = None
    """Its value where it is not to depend on the batch, see `evaluation/discriminator.py`."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.measured is None:
            deviation = torch.sqrt(maps.var(dim=0, unbiased=False) + 1e-8).mean()
        else:
            deviation = maps.new_tensor(self.measured)
        return torch.cat([maps, deviation.expand(len(maps), 1, *maps.shape[2:])], dim=1)


class GatedLinearUnit(nn.Module):
    """Maps [B, 2C, h, w] to [B, C, h, w]: the first half, times the sigmoid of the second (Dauphin et
    al. 2017, arXiv:1612.08083, equation 1). What `nn.GLU` does, in a quarter of its time on a CPU
    with channels last, whose backward pass there copies all maps into another order and back."""

    def forward(self, maps: Tensor) -> Tensor:
        values, gates = maps.chunk(2, dim=1)
        return values * torch.sigmoid(gates)
