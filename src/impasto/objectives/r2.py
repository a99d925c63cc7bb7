"""R2: penalises the discriminator's gradient at generated images (Mescheder, Geiger and Nowozin
2018, arXiv:1801.04406, equation 10).

The paper's gamma is the term's weight. R3GAN (Huang et al. 2024, arXiv:2501.05441) uses it beside
R1.
"""

from torch import Tensor

from impasto.objectives import StepInputs
from impasto.objectives.r1 import squared_gradient

NEEDS_GRADIENT_OF = "fake"


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[||grad_x D(x)||^2 / 2] over the generated images, with the forward pass chosen as in `r1`."""
    origin = inputs.fake_origin
    if origin is None:
        origin = inputs.fake.detach().requires_grad_()
        inputs = inputs.changed(fake=origin)
    return squared_gradient(inputs.fake_judgement, origin)
