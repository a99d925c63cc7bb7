"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

It penalises critics whose gradient with respect to the image has a norm other than one, at a
random point on the line between each real and generated image. The paper's weight (lambda) is 10.
A conditional critic gets the labels of the real image.
"""

import torch
from torch import Tensor

from impasto.objectives import StepInputs


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[(||grad_x D(x)||_2 - 1)^2] over the interpolated images x. Needs one more pass of the
    critic."""
    share = torch.rand(len(inputs.real), 1, 1, 1, device=inputs.real.device)
    between = inputs.real.detach().lerp(inputs.fake.detach(), share).requires_grad_()
    realness = inputs.discriminate(between, inputs.real_labels).realness
    (gradient,) = torch.autograd.grad(realness.sum(), between, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    return (norms - 1).square().mean()
