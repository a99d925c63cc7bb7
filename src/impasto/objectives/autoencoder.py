"""Reconstruction error of the discriminator's own decoder.

The discriminator learns to reconstruct real images. The generator learns to make images that the
discriminator reconstructs well.

Source: the published code of ArtGAN (Tan et al. 2019, arXiv:1708.09533), with weight 0.5. GANtor
has it too, on real images in the discriminator's loss and on generated images in the generator's.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.objectives import StepInputs


def _error(judgement: Judgement, images: Tensor) -> Tensor:
    reconstructed = judgement.reconstruction
    if reconstructed is None:
        raise ImpastoError(
            "term 'autoencoder' needs a discriminator that reconstructs images: choose network "
            "artgan_autoencoder for it, or leave this term out"
        )
    # A discriminator that pools its input reconstructs the pooled images.
    if reconstructed.shape != images.shape:
        images = F.adaptive_avg_pool2d(images, (reconstructed.shape[-2], reconstructed.shape[-1]))
    return F.mse_loss(reconstructed, images)


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """Mean of (AE(x) - x)^2 over real images x, their channels and pixels."""
    return _error(inputs.real_judgement, inputs.real)


def generator_loss(inputs: StepInputs) -> Tensor:
    """Mean of (AE(G(z)) - G(z))^2 over generated images, their channels and pixels."""
    return _error(inputs.fake_judgement, inputs.fake)
