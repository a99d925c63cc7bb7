"""Inception-v3 as in the FID literature: the network of TensorFlow's file of 2015-12-05.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (CVPR 2016),
with the particulars of that file: 1,008 classes, average pools that exclude the padding, and a
max pool in the last block in place of an average one. Modules have the tensor names of the ported
weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.features._layers import unit

SIDE = 299
WIDTH = 2048
CLASSES = 1008

_Kernel = int | tuple[int, int]
_Step = tuple[int, _Kernel]
_Fork = tuple[_Step, _Step]
_Branches = dict[str, tuple[_Step | _Fork, ...]]


def _unit(inputs: int, step: _Step, stride: int = 1, *, pad: bool = True) -> nn.Module:
    outputs, kernel = step
    high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (high // 2, wide // 2) if pad else 0
    conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
    return unit(conv, nn.ReLU(inplace=True))


class _Mixed(nn.Module):
    """Parallel branches whose outputs are concatenated.

    Args:
        inputs: channels.
        branches: the convolutions of each branch as (channels, kernel). The last one may be a
            pair of convolutions with the same input.
        pool: the last branch: `average` or `max`, followed by a 1x1 convolution to `pooled`
            channels; or `halve`, a max pool that halves the maps. Then the last convolution of
            each branch halves them too.
        pooled: see `pool`.
    """

    def __init__(self, inputs: int, branches: _Branches, pool: str, pooled: int = 0) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[list[str]]] = []
        for branch, steps in branches.items():
            chain: list[list[str]] = []
            channels = inputs
            for number, step in enumerate(steps, start=1):
                name = branch if len(steps) == 1 else f"{branch}_{number}"
                if isinstance(step[0], tuple):  # a fork
                    parts = {f"{name}a": step[0], f"{name}b": step[1]}
                else:
                    parts = {name: step}
                halves = pool == "halve" and number == len(steps)
                for part, (outputs, kernel) in parts.items():
                    made = _unit(channels, (outputs, kernel), 2 if halves else 1, pad=not halves)
                    self.add_module(part, made)
                chain.append(list(parts))
                channels = outputs
            self.chains.append(chain)
        if pool != "halve":
            self.branch_pool = _unit(inputs, (pooled, 1))

    def forward(self, maps: Tensor) -> Tensor:
        found: list[Tensor] = []
        for chain in self.chains:
            outputs = [maps]
            for names in chain:
                outputs = [self.get_submodule(name)(outputs[0]) for name in names]
            found += outputs
        if self.pool == "halve":
            found.append(F.max_pool2d(maps, 3, 2))
        elif self.pool == "max":
            found.append(self.branch_pool(F.max_pool2d(maps, 3, 1, 1)))
        else:
            found.append(self.branch_pool(F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)))
        return torch.cat(found, 1)


def _block_35(inputs: int, pooled: int) -> _Mixed:
    """A block for maps of 35 x 35."""
    branches: _Branches = {
        "branch1x1": ((64, 1),),
        "branch5x5": ((48, 1), (64, 5)),
        "branch3x3dbl": ((64, 1), (96, 3), (96, 3)),
    }
    return _Mixed(inputs, branches, "average", pooled)


def _block_17(inner: int) -> _Mixed:
    """A block for maps of 17 x 17."""
    row, column = (1, 7), (7, 1)
    branches: _Branches = {
        "branch1x1": ((192, 1),),
        "branch7x7": ((inner, 1), (inner, row), (192, column)),
        "branch7x7dbl": ((inner, 1), (inner, column), (inner, row), (inner, column), (192, row)),
    }
    return _Mixed(768, branches, "average", 192)


def _block_8(inputs: int, pool: str) -> _Mixed:
    """A block for maps of 8 x 8."""
    fork: _Fork = ((384, (1, 3)), (384, (3, 1)))
    branches: _Branches = {
        "branch1x1": ((320, 1),),
        "branch3x3": ((384, 1), fork),
        "branch3x3dbl": ((448, 1), (384, 3), fork),
    }
    return _Mixed(inputs, branches, pool, 192)


_TO_17: _Branches = {"branch3x3": ((384, 3),), "branch3x3dbl": ((64, 1), (96, 3), (96, 3))}
_TO_8: _Branches = {
    "branch3x3": ((192, 1), (320, 3)),
    "branch7x7x3": ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)),
}


class InceptionV3(nn.Module):
    """Images [B, 3, 299, 299] in [-1, 1) to features [B, 2048] and logits [B, 1008]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _unit(3, (32, 3), 2, pad=False)
        self.Conv2d_2a_3x3 = _unit(32, (32, 3), pad=False)
        self.Conv2d_2b_3x3 = _unit(32, (64, 3))
        self.Conv2d_3b_1x1 = _unit(64, (80, 1))
        self.Conv2d_4a_3x3 = _unit(80, (192, 3), pad=False)
        self.Mixed_5b = _block_35(192, 32)
        self.Mixed_5c = _block_35(256, 64)
        self.Mixed_5d = _block_35(288, 64)
        self.Mixed_6a = _Mixed(288, _TO_17, "halve")
        self.Mixed_6b = _block_17(128)
        self.Mixed_6c = _block_17(160)
        self.Mixed_6d = _block_17(160)
        self.Mixed_6e = _block_17(192)
        self.Mixed_7a = _Mixed(768, _TO_8, "halve")
        self.Mixed_7b = _block_8(1280, "average")
        self.Mixed_7c = _block_8(2048, "max")
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits without the last layer's bias, as in the code of the Inception
        Score."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))
        maps = F.max_pool2d(maps, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                maps = block(maps)
        features = maps.mean((2, 3))
        return features, F.linear(features, self.fc.weight)


def resize(pixels: Tensor, side: int = SIDE) -> Tensor:
    """Resize images uint8 [B, H, W, 3] to float32 [B, side, side, 3] in 0..255.

    It is TensorFlow 1's bilinear rule, with neither aligned corners nor pixel centres: output
    pixel i is at i * H / side, interpolated between the neighbouring pixels; the last one is
    repeated. There is no antialiasing. Sums are in the order of the reference, so that results
    are equal bit for bit.
    """
    pixels = pixels.float()
    for axis in (2, 1):
        inputs = pixels.shape[axis]
        scale = torch.tensor(inputs / side, dtype=torch.float32, device=pixels.device)
        places = torch.arange(side, dtype=torch.float32, device=pixels.device) * scale
        low = places.long()
        share = (places - low).view((-1, 1, 1) if axis == 1 else (-1, 1))
        before = pixels.index_select(axis, low)
        after = pixels.index_select(axis, (low + 1).clamp_max(inputs - 1))
        pixels = before + (after - before) * share
    return pixels
