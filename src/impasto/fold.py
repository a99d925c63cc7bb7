"""Folding of batch norms into preceding convolutions: the same function with fewer operations."""

import copy
import itertools

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of `network` for inference, with batch norms folded into the layers before them.

    In evaluation mode a batch norm is a fixed scale and shift a channel, which the preceding
    convolution can apply (equal up to rounding, about 1e-6). It is folded wherever the two are
    adjacent in a `Sequential`. Other layers are unchanged.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(folded.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        layers = list(module.named_children())
        for (name, layer), (next_name, following) in itertools.pairwise(layers):
            if parametrize.is_parametrized(layer):
                continue  # its weight is computed from others (spectral norm) and cannot be scaled
            # Plain batch norm only: conditional batch norm has no fixed scale.
            if (
                isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
                and type(following) is nn.BatchNorm2d
            ):
                transposed = isinstance(layer, nn.ConvTranspose2d)
                module._modules[name] = fuse_conv_bn_eval(layer, following, transposed)
                module._modules[next_name] = nn.Identity()
    return folded
