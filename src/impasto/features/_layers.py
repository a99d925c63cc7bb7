"""What the convolutional feature networks share."""

from collections import OrderedDict

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
