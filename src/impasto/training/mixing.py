"""Generated pictures in the discriminator's real batch, and as many real ones in the generated batch."""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import StepInputs


def exchanged(places: Tensor | None, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches [B, ...] that exchange their items at the places that are true in [B]; None: at
    none."""
    if places is None:
        return first, second
    where = places.view(-1, *[1] * (first.dim() - 1))
    return torch.where(where, second, first), torch.where(where, first, second)


def mixed(inputs: StepInputs, places: Tensor | None) -> StepInputs:
    """Step inputs whose batches exchange their images and labels at these places [B]."""
    if places is None:
        return inputs
    real, fake = exchanged(places, inputs.real, inputs.fake)
    real_labels, fake_labels = exchanged(places, inputs.real_labels, inputs.fake_labels)
    return inputs.changed(real=real, fake=fake, real_labels=real_labels, fake_labels=fake_labels)


def sorted_again(
    inputs: StepInputs, places: Tensor | None
) -> tuple[tuple[Judgement, Tensor], tuple[Judgement, Tensor]]:
    """The discriminator's output for the images that are real and for those that are generated, each
    with their labels [B, F], whatever batch they are in.

    Args:
        inputs: mixed.
        places: where they are mixed.
    """
    real, fake = inputs.real_judgement, inputs.fake_judgement
    realness = exchanged(places, real.realness, fake.realness)
    labels = exchanged(places, inputs.real_labels, inputs.fake_labels)
    logits: tuple[tuple[Tensor, ...] | None, tuple[Tensor, ...] | None] = (None, None)
    if real.class_logits is not None and fake.class_logits is not None:
        pairs = [
            exchanged(places, *both)
            for both in zip(real.class_logits, fake.class_logits, strict=True)
        ]
        logits = tuple(first for first, _ in pairs), tuple(second for _, second in pairs)
    return (
        (Judgement(realness[0], logits[0]), labels[0]),
        (Judgement(realness[1], logits[1]), labels[1]),
    )
