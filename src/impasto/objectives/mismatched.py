"""Hinge loss on real images with wrong labels, which the discriminator must call generated.

Source: Reed et al. 2016 (arXiv:1605.05396, section 4.1), with texts there and labels here.

Without this term the discriminator can ignore the classes while other differences separate real
from generated images. Then generated images match their classes late or never. With it beside the
hinge loss, the discriminator must use the labels from the first step.

It is for discriminators that are conditioned on labels: `projected`, where it costs little, and
`fastgan` and `r3gan`, where it costs one more pass of the real images. Discriminators that only
classify use `auxiliary_classifier` instead.

In the paper, generated images and wrong labels have half the weight each. Here this term has its
own `weight` and the hinge loss keeps its own. Realness is therefore lower than without this term:
fewer than half of the images are above 0 where the discriminator cannot tell.
"""

import torch.nn.functional as F
from torch import Tensor

from impasto.objectives import StepInputs

ABOUT_LABELS = True


def discriminator_loss(inputs: StepInputs) -> Tensor:
    """E[max(0, 1 + D(x, y'))], with y' the labels of the preceding real image in the batch.

    Images whose y' equals their own labels in every field known of both count as zero.
    """
    labels = inputs.real_labels
    wrong = labels.roll(1, dims=0)
    differs = ((labels != wrong) & (labels >= 0) & (wrong >= 0)).any(dim=1)
    with_labels = inputs.real_judgement.realness_under
    if with_labels is None:
        realness = inputs.discriminate(inputs.real, wrong).realness
    else:
        realness = with_labels(wrong)
    return (F.relu(1 + realness).mean(dim=1) * differs).mean()
