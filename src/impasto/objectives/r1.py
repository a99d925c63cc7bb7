"""R1: the discriminator's gradient at real pictures, drawn towards zero (Mescheder, Geiger and Nowozin
2018, arXiv:1801.04406, equation 9).

The paper's gamma is the term's weight. The gradient is with respect to the pictures before they were
augmented, as Karras et al. 2020 (arXiv:2006.06676) and R3GAN take it, and is that of the sum where a
discriminator gives several values a picture.
"""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import StepInputs

NEEDS_GRADIENT_OF = "real"


def squared_gradient(judgement: Judgement, images: Tensor) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over pictures x [B, 3, H, W] from what was said of them."""
    (gradient,) = torch.autograd.grad(judgement.realness.sum(), images, create_graph=True)
    return gradient.float().square().flatten(1).sum(dim=1).mean() / 2


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over the real pictures. Where they gather gradients, as training has
    them do, it looks at the pass that other terms look at; else it makes one of its own."""
    origin = inputs.real_origin
    if origin is None:
        origin = inputs.real.detach().requires_grad_()
        inputs = inputs.changed(real=origin)
    return squared_gradient(inputs.real_judgement, origin)
