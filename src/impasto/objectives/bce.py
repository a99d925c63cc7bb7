"""Binary cross-entropy, the original GAN loss (Goodfellow et al. 2014, arXiv:1406.2661, equation
1).

The generator's loss is the non-saturating one of section 3: it maximises log D(G(z)).

Label smoothing draws each target uniformly from a range, independently for every image and
update. Versions 2 and 3 of the Japanese-art work use [0.7, 1] for real images and [0, 0.3] for
generated images. Smoothing slows down the discriminator, so it applies to discriminator updates
only. The generator's target stays 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import Interval
from impasto.objectives import StepInputs

SCORE = "probability"


def score(realness: Tensor) -> Tensor:
    """D(x), the probability that the image is real, from its logit."""
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
    """-log D(x) - log(1 - D(G(z))), each a mean over the batch.

    Args:
        inputs: the step's inputs.
        real_labels: range that the targets of real images are drawn from; [1, 1] is no smoothing.
        fake_labels: range that the targets of generated images are drawn from; [0, 0] is no
            smoothing.
    """
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
    """-log D(G(z)), a mean over the batch. The smoothing settings have no effect here."""
    del real_labels, fake_labels
    fake = inputs.fake_judgement.realness
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
