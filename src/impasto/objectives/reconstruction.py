"""Reconstruction by the discriminator's encoder and the generator's decoder.

The discriminator's first layers encode a real image. The generator's last layers decode it. The
loss is the squared difference to the real image (Tan et al. 2017, arXiv:1702.03410, equation 5;
Marin Moreno 2020, section 2.2, L_L2).

A discriminator update trains the encoder, a generator update the decoder. The report has the term
in the generator's loss only (`only: generator`), so there the encoder is not trained by it.
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
    """Mean of (Dec(Enc(x)) - x)^2 over real images x, their channels and pixels; trains the
    encoder.

    Raises:
        ImpastoError: the discriminator has no encoder or the generator no decoder.
    """
    return _error(inputs)


def generator_loss(inputs: StepInputs) -> Tensor:
    """Mean of (Dec(Enc(x)) - x)^2 over real images x, their channels and pixels; trains the
    decoder.

    Raises:
        ImpastoError: the discriminator has no encoder or the generator no decoder.
    """
    return _error(inputs)
