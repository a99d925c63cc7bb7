"""The loss of the Wasserstein critic (Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875,
equation 3).

The critic must be Lipschitz. Use the term `gradient_penalty` beside it, several critic updates a
step, and no batch norm in the critic (Gulrajani et al. 2017, section 4).
"""

from torch import Tensor

from impasto.objectives import StepInputs

SCORE = "critic"


def score(realness: Tensor) -> Tensor:
    """The critic's output itself, unbounded."""
    return realness


def boundary(real: Tensor, fake: Tensor) -> Tensor:
    """The mean of the two batches' mean outputs. Zero has no meaning for a critic."""
    return (real.mean() + fake.mean()) / 2


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[D(G(z))] - E[D(x)], means over the batch."""
    return inputs.fake_judgement.realness.mean() - inputs.real_judgement.realness.mean()


def generator_loss(inputs: StepInputs) -> Tensor:
    """-E[D(G(z))], a mean over the batch."""
    return -inputs.fake_judgement.realness.mean()
