"""The relativistic pairing loss (Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4), with the
logistic function, as R3GAN has it (Huang et al. 2024, arXiv:2501.05441, section 2).

Each generated picture is judged against a real one: the discriminator is to find the real one of the
pair more real, the generator the generated one. Since only differences count, it cannot win by one
answer for all, which is how modes are dropped. The two are of the same classes, as in R3GAN's published
code, so that what is found of a class cancels out. R3GAN has the terms `r1` and `r2` beside it,
without which it need not converge.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.objectives import StepInputs

SCORE = "critic"
PAIRED = True


def score(realness: Tensor) -> Tensor:
    """The discriminator's value itself; only differences of it mean anything."""
    return realness


def boundary(real: Tensor, fake: Tensor) -> Tensor:
    """Halfway between the two batches' means: a zero has no meaning here."""
    return (real.mean() + fake.mean()) / 2


def _ahead(inputs: StepInputs) -> Tensor:
    """By how much each real picture is found more real than the generated one it is paired with."""
    return inputs.real_judgement.realness - inputs.fake_judgement.realness


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[softplus(-(D(x) - D(G(z))))]."""
    return F.softplus(-_ahead(inputs)).mean()


def generator_loss(inputs: StepInputs) -> Tensor:
    """E[softplus(D(x) - D(G(z)))]."""
    return F.softplus(_ahead(inputs)).mean()
