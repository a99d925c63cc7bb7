"""The relativistic pairing loss (Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4), with
softplus as in R3GAN (Huang et al. 2024, arXiv:2501.05441, section 2).

Each generated image is compared with a real one. The discriminator learns to give the real image
the higher realness, the generator to give it to the generated one. Only the difference counts.
That counters mode dropping, since the discriminator cannot lower its loss by one boundary for all
images.

Both images of a pair have the same labels, as in R3GAN's published code, so that what the
discriminator adds for a class cancels. R3GAN uses the terms `r1` and `r2` beside it. Without
them, training need not converge.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.objectives import StepInputs

SCORE = "critic"
PAIRED = True


def score(realness: Tensor) -> Tensor:
    """The discriminator's output itself. Only differences between outputs have a meaning."""
    return realness


def boundary(real: Tensor, fake: Tensor) -> Tensor:
    """The mean of the two batches' mean realness. Zero has no meaning in this loss."""
    return (real.mean() + fake.mean()) / 2


def _difference(inputs: StepInputs) -> Tensor:
    """[B, N] realness of each real image minus that of the generated image it is paired with."""
    return inputs.real_judgement.realness - inputs.fake_judgement.realness


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[softplus(-(D(x) - D(G(z))))]."""
    return F.softplus(-_difference(inputs)).mean()


def generator_loss(inputs: StepInputs) -> Tensor:
    """E[softplus(D(x) - D(G(z)))]."""
    return F.softplus(_difference(inputs)).mean()
