"""R1: the discriminator's gradient at real pictures, drawn towards zero (Mescheder, Geiger and Nowozin
2018, arXiv:1801.04406, equation 9).

The paper's gamma is the term's weight. Where a discriminator gives several values a picture, the
gradient is that of their sum.
"""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import Round


def squared_gradient(images: Tensor, labels: Tensor, round: Round) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over pictures x [B, 3, H, W] with labels [B, F]; one more pass."""
    asked = images.detach().requires_grad_()
    judgement: Judgement = round.discriminate(asked, labels)
    (gradient,) = torch.autograd.grad(judgement.realness.sum(), asked, create_graph=True)
    return gradient.float().square().flatten(1).sum(dim=1).mean() / 2


def discriminator_loss(round: Round) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over the real pictures."""
    return squared_gradient(round.real, round.real_labels, round)
