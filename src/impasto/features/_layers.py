"""Helpers that several feature networks share."""

from collections import OrderedDict
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn


def bicubic(pixels: Tensor, side: int) -> Tensor:
    """Images uint8 [B, H, W, 3] resized to float32 [B, 3, side, side] in 0..255, bicubic with
    antialiasing."""
    # The pixels' memory order is already channels last, so this makes no copy.
    images = pixels.permute(0, 3, 1, 2).float()
    if images.shape[-2:] == (side, side):
        return images
    images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
    return images.clamp(0, 255)  # bicubic overshoots at edges


def bicubic_in_words(side: int) -> str:
    """A text that describes `bicubic`, for records."""
    return f"bicubic with antialiasing to {side} x {side} px"


def unit(conv: nn.Conv2d, activation: nn.Module | None = None) -> nn.Sequential:
    """A convolution, its batch norm (with TensorFlow's epsilon of 1e-3) and an activation."""
    layers: list[tuple[str, nn.Module]] = [
        ("conv", conv),
        ("bn", nn.BatchNorm2d(conv.out_channels, eps=1e-3)),
    ]
    if activation is not None:
        layers.append(("activation", activation))
    return nn.Sequential(OrderedDict(layers))


_Network = TypeVar("_Network", bound=nn.Module)


def hold(network: _Network, *, persistent: bool) -> _Network:
    """Turn the parameters of a network, in place, into buffers, so that they are never trained.

    Args:
        network: the network.
        persistent: whether the buffers are in its state dict.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=persistent)
    return network
