"""What the feature networks share."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def bicubic(pixels: Tensor, side: int) -> Tensor:
    """Pictures uint8 [B, H, W, 3] as float32 [B, 3, side, side] in 0..255, shrunk with antialiasing."""
    # Pixels lie channel by channel within a picture already: channels-last without a copy.
    images = pixels.permute(0, 3, 1, 2).float()
    if images.shape[-2:] == (side, side):
        return images
    images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
    return images.clamp(0, 255)  # bicubic overshoots at edges


def bicubic_in_words(side: int) -> str:
    """What `bicubic` does, for records."""
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


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Freeze `network` and let its convolutions take over their batch norms, in place.

    In evaluation mode a batch norm is a fixed scale and shift a channel, so the result is equal up to
    rounding (about 1e-6).
    """
    network.eval().requires_grad_(False)
    for module in network.modules():
        children = dict(module.named_children())
        conv, norm = children.get("conv"), children.get("bn")
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules["conv"] = fuse_conv_bn_eval(conv, norm)
            module._modules["bn"] = nn.Identity()
    return network
