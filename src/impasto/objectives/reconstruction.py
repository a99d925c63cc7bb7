"""Reconstruction through both players: the discriminator's first layers encode a real picture, the
generator's last ones decode it, and the result should be the picture (Tan et al. 2017,
arXiv:1702.03410, equation 5; Marin Moreno 2020, section 2.2, L_L2).

Each player learns its own part from it: the encoder in the discriminator's turn, the decoder in the
generator's. The report has it in the generator's loss alone, where no step of an optimiser reaches the
encoder: `only: generator`.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.objectives import StepInputs


def _error(inputs: StepInputs) -> Tensor:
    features = inputs.real_judgement.features
    if features is None or inputs.decode is None:
        raise ImpastoError(
            "term 'reconstruction' needs a discriminator that encodes and a generator that decodes: "
            "choose network artgan for both, or leave this term out"
        )
    return F.mse_loss(inputs.decode(features), inputs.real)


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """Mean over pictures and values of (Dec(Enc(x)) - x)^2, for the encoder."""
    return _error(inputs)


def generator_loss(inputs: StepInputs) -> Tensor:
    """The same for the decoder."""
    return _error(inputs)
