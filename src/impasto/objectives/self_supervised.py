"""Reconstruction of real images from the discriminator's features (Liu et al. 2021,
arXiv:2101.04775, section 3.2, equation 4).

It makes the discriminator encode the whole image. With a few hundred images it could otherwise
recognise each one by a detail.

The authors measure the distance by features of a VGG network (LPIPS, Zhang et al. 2018,
arXiv:1801.03924), whose weights impasto does not include. Here it is the mean absolute difference
of pixels, which weighs texture less. The published scores do not cover this difference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.objectives import StepInputs


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[|G(f) - T(x)|], summed over the discriminator's decoders G.

    f are the features of a real image x. T(x) is what the decoder should reconstruct: the pooled
    image or a part of it.

    Raises:
        ImpastoError: the discriminator has no decoders.
    """
    reconstruct = inputs.real_judgement.reconstruct
    if reconstruct is None:
        raise ImpastoError(
            "term 'self_supervised' needs a discriminator that reconstructs images: choose "
            "--set discriminator.network=fastgan, or leave this term out"
        )
    return torch.stack([F.l1_loss(made, target) for made, target in reconstruct()]).sum()
