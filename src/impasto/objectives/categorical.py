"""K+1 classes, the last of them 'generated', each a sigmoid of its own: the game of ArtGAN (Tan et
al. 2017, arXiv:1702.03410, equations 1 to 4), as Marin Moreno's report (2020, section 2.2) writes its
losses: binary cross-entropy against one-hot targets of K+1 values.

The discriminator's class logits are the first K of them; its realness is minus the logit of the last
one, so a picture's probability of being real is one minus that of class K+1. Means are taken over
pictures and classes alike. Classes of a field that is unknown for a picture are left out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.config import Fraction
from impasto.errors import ImpastoError
from impasto.networks import Judgement, one_hot
from impasto.objectives import StepInputs

SCORE = "probability"


def score(realness: Tensor) -> Tensor:
    """One minus the probability of class K+1, 'generated'."""
    return realness.sigmoid()


def _loss(judgement: Judgement, labels: Tensor, generated: Tensor) -> Tensor:
    """Mean binary cross-entropy of K+1 sigmoids.

    Args:
        judgement: of B pictures.
        labels: [B, F] classes whose target is 1, where the target of 'generated' is 0.
        generated: [B] bool: pictures whose only target of 1 is 'generated'.
    """
    if judgement.class_logits is None:
        raise ImpastoError(
            "term 'categorical' needs a discriminator that names classes: choose label fields with "
            "--labels, or take term bce instead"
        )
    sizes = tuple(logits.shape[1] for logits in judgement.class_logits)
    known = [(labels[:, f, None] >= 0).expand(-1, size) for f, size in enumerate(sizes)]
    column = generated[:, None]
    logits = torch.cat([*judgement.class_logits, -judgement.realness], dim=1)
    targets = torch.cat(
        [
            one_hot(labels, sizes).masked_fill(column, 0.0),
            column.float().expand_as(judgement.realness),
        ],
        dim=1,
    )
    # Of a generated picture every class is known: none of them.
    counted = torch.cat([torch.cat(known, dim=1) | column, torch.ones_like(column)], dim=1)
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * counted).sum() / counted.sum()


def _random_classes(judgement: Judgement, like: Tensor) -> Tensor:
    assert judgement.class_logits is not None
    fields = [
        torch.randint(logits.shape[1], (len(like),), device=like.device)
        for logits in judgement.class_logits
    ]
    return torch.stack(fields, dim=1)


def discriminator_loss(inputs: StepInputs, *, flip: Fraction = 0.0) -> Tensor:
    """Real pictures belong to their class, generated ones to class K+1.

    With probability `flip`, anew for each picture, a real one's target becomes 'generated' and a
    generated one's a random class: section 3.1 of the report, against a discriminator that learns
    the collection by heart (0.05 there).
    """
    real, fake = inputs.real_judgement, inputs.fake_judgement
    shape, device = len(inputs.real), inputs.real.device
    real_as_fake = torch.rand(shape, device=device) < flip
    fake_as_real = torch.rand(len(inputs.fake), device=device) < flip
    loss = _loss(real, inputs.real_labels, real_as_fake)
    return loss + _loss(fake, _random_classes(fake, inputs.fake_labels), ~fake_as_real)


def generator_loss(inputs: StepInputs, *, flip: Fraction = 0.0) -> Tensor:
    """Generated pictures shall belong to the class they were asked for."""
    del flip
    nothing = torch.zeros(len(inputs.fake), dtype=torch.bool, device=inputs.fake.device)
    return _loss(inputs.fake_judgement, inputs.fake_labels, nothing)
