"""The hinge loss (Lim and Ye 2017, arXiv:1705.02894; as in Miyato et al. 2018, arXiv:1802.05957,
equations 16 and 17).

Discriminator outputs beyond the margin, 1, give no gradient. The published code of FastGAN (Liu
et al. 2021, arXiv:2101.04775) draws the margin of each output uniformly from [0.8, 1].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import Interval
from impasto.objectives import StepInputs

SCORE = "critic"


def score(realness: Tensor) -> Tensor:
    """The discriminator's output itself. Above 1 is surely real, below -1 surely generated."""
    return realness


def _margin_loss(realness: Tensor, margin: tuple[float, float]) -> Tensor:
    """Mean of max(0, m - realness), where each m is drawn uniformly from `margin`."""
    low, high = margin
    drawn = low if low == high else torch.empty_like(realness).uniform_(low, high)
    return F.relu(drawn - realness).mean()


def discriminator_loss(inputs: StepInputs, *, margin: Interval = (1.0, 1.0)) -> Tensor:
    """E[max(0, m - D(x))] + E[max(0, m + D(G(z)))].

    Args:
        inputs: the step's inputs.
        margin: range that each m is drawn from; [1, 1] is the plain hinge loss.
    """
    real = _margin_loss(inputs.real_judgement.realness, margin)
    return real + _margin_loss(-inputs.fake_judgement.realness, margin)


def generator_loss(inputs: StepInputs, *, margin: Interval = (1.0, 1.0)) -> Tensor:
    """-E[D(G(z))]. The margin has no effect here."""
    del margin
    return -inputs.fake_judgement.realness.mean()
