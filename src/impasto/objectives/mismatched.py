"""Real pictures under another one's labels are to be found generated (Reed et al. 2016,
arXiv:1605.05396, section 4.1: there a picture with a text that is not its own, here with labels).

Without it the discriminator need not know the classes as long as something else gives the generated
pictures away, and classes come late or in disorder. With it beside the hinge loss it must tell from the
first step whether a picture is of the class it is said to be. For discriminators that judge by the
label: `projected`, where it costs hardly anything, and `fastgan` and `r3gan`, at the price of one more
pass of the real pictures. Those that only name classes have `auxiliary_classifier`.

There the two kinds of what is to be found generated weigh a half each; here this one has the term's
`weight`, and beside hinge the other keeps its own. So realness lies lower than without it, and fewer
than half of the pictures are above 0 where the discriminator cannot tell.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.objectives import StepInputs

ABOUT_LABELS = True


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[max(0, 1 + D(x, y'))], y' the labels of the picture before x in the batch; of those where a
    field that is known of both has another class, the others count as zero."""
    labels = inputs.real_labels
    others = labels.roll(1, dims=0)
    apart = ((labels != others) & (labels >= 0) & (others >= 0)).any(dim=1)
    under = inputs.real_judgement.realness_under
    realness = inputs.discriminate(inputs.real, others).realness if under is None else under(others)
    return (F.relu(1 + realness).mean(dim=1) * apart).mean()
