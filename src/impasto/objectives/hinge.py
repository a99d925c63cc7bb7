"""The hinge loss (Lim and Ye 2017, arXiv:1705.02894; as written in Miyato et al. 2018,
arXiv:1802.05957, equations 16 and 17).

The discriminator is left alone by values beyond a margin, 1. FastGAN's authors (Liu et al. 2021,
arXiv:2101.04775, in their published code) draw it anew for each value, uniformly from [0.8, 1].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import Interval
from impasto.objectives import StepInputs

SCORE = "critic"


def score(realness: Tensor) -> Tensor:
    """The discriminator's value itself: above 1 surely real, below -1 surely generated."""
    return realness


def _short(realness: Tensor, margin: tuple[float, float]) -> Tensor:
    """By how much values fall short of a margin drawn from this range, in the mean."""
    low, high = margin
    drawn = low if low == high else torch.empty_like(realness).uniform_(low, high)
    return F.relu(drawn - realness).mean()


def discriminator_loss(inputs: StepInputs, *, margin: Interval = (1.0, 1.0)) -> Tensor:
    """E[max(0, m - D(x))] + E[max(0, m + D(G(z)))], each m drawn from `margin`."""
    real = _short(inputs.real_judgement.realness, margin)
    return real + _short(-inputs.fake_judgement.realness, margin)


def generator_loss(inputs: StepInputs, *, margin: Interval = (1.0, 1.0)) -> Tensor:
    """-E[D(G(z))], whatever the margin."""
    del margin
    return -inputs.fake_judgement.realness.mean()
