"""The hinge loss (Lim and Ye 2017, arXiv:1705.02894; as written in Miyato et al. 2018,
arXiv:1802.05957, equations 16 and 17)."""

import torch.nn.functional as F
from torch import Tensor

from impasto.objectives import Round

SCORE = "critic"


def score(realness: Tensor) -> Tensor:
    """The discriminator's value itself: above 1 surely real, below -1 surely generated."""
    return realness


def discriminator_loss(round: Round) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
    real = F.relu(1 - round.real_judgement.realness).mean()
    return real + F.relu(1 + round.fake_judgement.realness).mean()


def generator_loss(round: Round) -> Tensor:
    """-E[D(G(z))]."""
    return -round.fake_judgement.realness.mean()
