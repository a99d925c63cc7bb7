"""The Wasserstein critic (Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875, equation 3).

It needs a Lipschitz critic: use it with the term `gradient_penalty` and several critic steps, and
no batch norm in the critic (Gulrajani et al. 2017, section 4).
"""

from torch import Tensor

from impasto.objectives import StepInputs

SCORE = "critic"


def score(realness: Tensor) -> Tensor:
    """The critic's value itself."""
    return realness


def boundary(real: Tensor, fake: Tensor) -> Tensor:
    """Halfway between the two batches' means: a critic's zero has no meaning."""
    return (real.mean() + fake.mean()) / 2


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[D(G(z))] - E[D(x)], means over the batch."""
    return inputs.fake_judgement.realness.mean() - inputs.real_judgement.realness.mean()


def generator_loss(inputs: StepInputs) -> Tensor:
    """-E[D(G(z))]."""
    return -inputs.fake_judgement.realness.mean()
