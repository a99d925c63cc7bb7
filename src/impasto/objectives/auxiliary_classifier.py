"""The class losses of an AC-GAN (Odena, Olah and Shlens 2016, arXiv:1610.09585, equation 3).

The discriminator classifies real images. The generator learns to make images that are classified
as the class they are conditioned on.

The cross-entropies of several label fields are added. Images of unknown class are left out of the
mean of that field.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.objectives import StepInputs


def _cross_entropy(judgement: Judgement, labels: Tensor) -> Tensor:
    if judgement.class_logits is None:
        raise ImpastoError(
            "term 'auxiliary_classifier' needs a discriminator that classifies: choose label "
            "fields with --labels, or leave this term out"
        )
    fields = [
        F.cross_entropy(logits, labels[:, field], ignore_index=-1, reduction="sum")
        / (labels[:, field] >= 0).sum().clamp(min=1)
        for field, logits in enumerate(judgement.class_logits)
    ]
    return torch.stack(fields).sum()


def discriminator_loss(inputs: StepInputs, *, on_fakes: bool = False) -> Tensor:
    """-log P(class | real image): a mean over the images of known class, summed over the label
    fields.

    Args:
        inputs: the step's inputs.
        on_fakes: adds the cross-entropy of the generated images, as in the AC-GAN paper. GANGogh
            leaves it out.

    Raises:
        ImpastoError: the discriminator has no class logits.
    """
    loss = _cross_entropy(inputs.real_judgement, inputs.real_labels)
    if on_fakes:
        loss = loss + _cross_entropy(inputs.fake_judgement, inputs.fake_labels)
    return loss


def generator_loss(inputs: StepInputs, *, on_fakes: bool = False) -> Tensor:
    """-log P(class it is conditioned on | generated image), averaged and summed as above.

    Raises:
        ImpastoError: the discriminator has no class logits.
    """
    del on_fakes
    return _cross_entropy(inputs.fake_judgement, inputs.fake_labels)
