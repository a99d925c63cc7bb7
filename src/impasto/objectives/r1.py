"""R1: penalises the discriminator's gradient at real images (Mescheder, Geiger and Nowozin 2018,
arXiv:1801.04406, equation 9).

The paper's gamma is the term's weight. The gradient is taken with respect to the images before
augmentation, as in Karras et al. 2020 (arXiv:2006.06676) and R3GAN. Where the discriminator gives
several logits an image, it is the gradient of their sum.
"""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import StepInputs

NEEDS_GRADIENT_OF = "real"


def squared_gradient(judgement: Judgement, images: Tensor) -> Tensor:
    """E[||grad_x D(x)||^2 / 2], a scalar that can be differentiated.

    Args:
        judgement: the discriminator's output for the images.
        images: [B, 3, H, W], which `judgement` was computed from with gradients enabled.
    """
    (gradient,) = torch.autograd.grad(judgement.realness.sum(), images, create_graph=True)
    return gradient.float().square().flatten(1).sum(dim=1).mean() / 2


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over the real images.

    Training enables the gradients of the real images, and the term shares the forward pass of the
    other terms. Where it does not, the term makes a forward pass of its own.
    """
    origin = inputs.real_origin
    if origin is None:
        origin = inputs.real.detach().requires_grad_()
        inputs = inputs.changed(real=origin)
    return squared_gradient(inputs.real_judgement, origin)
