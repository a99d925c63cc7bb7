"""The gradient penalty of Gulrajani et al. (2017, arXiv:1704.00028, equation 3).

At a random point on the line between each real picture and a generated one, the critic's gradient
with respect to the picture is drawn towards norm one. The paper's weight (lambda) is 10. A
conditional critic is asked with the real picture's labels.
"""

import torch
from torch import Tensor

from impasto.objectives import StepInputs


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[(||grad_x D(x)||_2 - 1)^2] over the interpolated pictures x; one more critic pass."""
    share = torch.rand(len(inputs.real), 1, 1, 1, device=inputs.real.device)
    between = inputs.real.detach().lerp(inputs.fake.detach(), share).requires_grad_()
    realness = inputs.discriminate(between, inputs.real_labels).realness
    (gradient,) = torch.autograd.grad(realness.sum(), between, create_graph=True)
    norms = gradient.flatten(1).norm(dim=1)
    return (norms - 1).square().mean()
