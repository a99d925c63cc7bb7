"""Loss with K+1 classes, the last of them 'generated', each with a sigmoid of its own.

It is the loss of ArtGAN (Tan et al. 2017, arXiv:1702.03410, equations 1 to 4) in the form of
Marin Moreno's report (2020, section 2.2): binary cross-entropy against one-hot targets of K+1
values.

The first K logits are the discriminator's class logits. The last one is minus its realness, so
the probability of being real is one minus that of class K+1. The loss is a mean over images and
classes. The classes of a field that is unknown for an image are left out.
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
    """D(x): one minus the probability of class K+1, 'generated'."""
    return realness.sigmoid()


def _loss(judgement: Judgement, labels: Tensor, generated: Tensor) -> Tensor:
    """Mean binary cross-entropy of K+1 sigmoids.

    Args:
        judgement: the discriminator's output for B images.
        labels: [B, F] classes. Their target is 1 in the images where the target of 'generated' is
            0.
        generated: [B] bool: the images whose target is 1 for 'generated' and 0 for all classes.
    """
    if judgement.class_logits is None:
        raise ImpastoError(
            "term 'categorical' needs a discriminator that classifies: choose label fields with "
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
    # Where the target is 'generated', the targets of all classes are known: 0.
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
    """Cross-entropy with the targets: real images their class, generated images class K+1.

    Args:
        inputs: the step's inputs.
        flip: probability that a target is flipped, drawn for each image. A flipped real image has
            the target 'generated', a flipped generated one a random class. It counters a
            discriminator that memorises the collection (section 3.1 of the report, with 0.05).

    Raises:
        ImpastoError: the discriminator has no class logits.
    """
    real, fake = inputs.real_judgement, inputs.fake_judgement
    shape, device = len(inputs.real), inputs.real.device
    real_as_fake = torch.rand(shape, device=device) < flip
    fake_as_real = torch.rand(len(inputs.fake), device=device) < flip
    loss = _loss(real, inputs.real_labels, real_as_fake)
    return loss + _loss(fake, _random_classes(fake, inputs.fake_labels), ~fake_as_real)


def generator_loss(inputs: StepInputs, *, flip: Fraction = 0.0) -> Tensor:
    """Cross-entropy with the target: the class that the image is conditioned on."""
    del flip
    nothing = torch.zeros(len(inputs.fake), dtype=torch.bool, device=inputs.fake.device)
    return _loss(inputs.fake_judgement, inputs.fake_labels, nothing)
