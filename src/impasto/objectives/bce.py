"""Binary cross-entropy, the original game (Goodfellow et al. 2014, arXiv:1406.2661, equation 1),
with the generator's non-saturating half (section 3 there): it maximises log D(G(z)).

Smoothing draws each label uniformly from a range, anew for every picture, as version 2 and 3 of the
Japanese-art work do: real ones from [0.7, 1], generated ones from [0, 0.3]. It slows the
discriminator, so it applies in the discriminator's turn only; the generator's goal stays 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import Interval
from impasto.objectives import StepInputs

SCORE = "probability"


def score(realness: Tensor) -> Tensor:
    """D(x), the probability of being real, from its logit."""
    return realness.sigmoid()


def _targets(logits: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    if low == high:
        return torch.full_like(logits, low)
    return torch.empty_like(logits).uniform_(low, high)


def discriminator_loss(
    inputs: StepInputs,
    *,
    real_labels: Interval = (1.0, 1.0),
    fake_labels: Interval = (0.0, 0.0),
) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), each a mean over the batch; labels drawn from these ranges."""
    real = inputs.real_judgement.realness
    fake = inputs.fake_judgement.realness
    return F.binary_cross_entropy_with_logits(
        real, _targets(real, real_labels)
    ) + F.binary_cross_entropy_with_logits(fake, _targets(fake, fake_labels))


def generator_loss(
    inputs: StepInputs,
    *,
    real_labels: Interval = (1.0, 1.0),
    fake_labels: Interval = (0.0, 0.0),
) -> Tensor:
    """-log D(G(z)), mean over the batch."""
    del real_labels, fake_labels
    fake = inputs.fake_judgement.realness
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
