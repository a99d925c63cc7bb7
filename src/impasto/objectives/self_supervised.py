"""The discriminator paints real pictures again from its own features (Liu et al. 2021,
arXiv:2101.04775, section 3.2, equation 4), which keeps it looking at all of them: on some hundred
pictures it would otherwise learn each by a detail.

The authors measure the distance by features of a VGG network (LPIPS, Zhang et al. 2018,
arXiv:1801.03924), whose weights we do not ship. Ours is the mean absolute difference of pixels, which
asks less for texture: a difference from the published method that its figures do not cover.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.objectives import StepInputs


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[|G(f) - T(x)|], f the features of real pictures x and T what is to be painted of them, the
    picture or a part; summed over the discriminator's decoders.

    Raises:
        ImpastoError: the discriminator has none.
    """
    reconstruct = inputs.real_judgement.reconstruct
    if reconstruct is None:
        raise ImpastoError(
            "term 'self_supervised' needs a discriminator that paints its pictures again: choose "
            "--set discriminator.network=fastgan, or leave this term out"
        )
    return torch.stack([F.l1_loss(painted, meant) for painted, meant in reconstruct()]).sum()
