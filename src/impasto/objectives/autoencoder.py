"""Reconstruction by the discriminator's own decoder: it should paint real pictures again, and the
generator pictures that can be painted again. In the published code of ArtGAN (Tan et al. 2019,
arXiv:1708.09533; weight 0.5) and in GANtor (reconstruction of real pictures in the discriminator's
loss, of generated ones in the generator's).
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.objectives import StepInputs


def _error(judgement: Judgement, images: Tensor) -> Tensor:
    painted = judgement.reconstruction
    if painted is None:
        raise ImpastoError(
            "term 'autoencoder' needs a discriminator that paints what it saw: choose network "
            "artgan_autoencoder for it, or leave this term out"
        )
    # A discriminator that pools its pictures paints them as small as it sees them.
    if painted.shape != images.shape:
        images = F.adaptive_avg_pool2d(images, painted.shape[-1])
    return F.mse_loss(painted, images)


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """Mean over pictures and values of (AE(x) - x)^2."""
    return _error(inputs.real_judgement, inputs.real)


def generator_loss(inputs: StepInputs) -> Tensor:
    """Mean over pictures and values of (AE(G(z)) - G(z))^2."""
    return _error(inputs.fake_judgement, inputs.fake)
