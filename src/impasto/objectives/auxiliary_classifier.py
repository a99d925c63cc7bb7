"""The classes of an AC-GAN (Odena, Olah and Shlens 2016, arXiv:1610.09585, equation 3): the
discriminator names the class of the pictures it sees, and the generator paints pictures that are
named as they were asked for.

With several label fields the cross-entropies are added; pictures of unknown class are left out of
their field's mean.
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
            "term 'auxiliary_classifier' needs a discriminator that names classes: choose label "
            "fields with --labels, or leave this term out"
        )
    fields = [
        F.cross_entropy(logits, labels[:, field], ignore_index=-1, reduction="sum")
        / (labels[:, field] >= 0).sum().clamp(min=1)
        for field, logits in enumerate(judgement.class_logits)
    ]
    return torch.stack(fields).sum()


def discriminator_loss(inputs: StepInputs, *, on_fakes: bool = False) -> Tensor:
    """-log P(class | real picture), a mean over the pictures of known class, summed over fields;
    `on_fakes` adds the same of generated ones, as the AC-GAN paper has it (GANGogh does not)."""
    loss = _cross_entropy(inputs.real_judgement, inputs.real_labels)
    if on_fakes:
        loss = loss + _cross_entropy(inputs.fake_judgement, inputs.fake_labels)
    return loss


def generator_loss(inputs: StepInputs, *, on_fakes: bool = False) -> Tensor:
    """-log P(class asked for | generated picture)."""
    del on_fakes
    return _cross_entropy(inputs.fake_judgement, inputs.fake_labels)
