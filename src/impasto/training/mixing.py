"""`training.mix_batches`: swap some real and generated images between the discriminator's batches."""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import StepInputs


def swap(mask: Tensor | None, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches [B, ...] with their items swapped where the mask, bool [B], is true; None: nowhere."""
    if mask is None:
        return first, second
    where = mask.view(-1, *[1] * (first.dim() - 1))
    return torch.where(where, second, first), torch.where(where, first, second)


def mix_batches(inputs: StepInputs, mask: Tensor | None) -> StepInputs:
    """Step inputs with images and labels swapped between the two batches where the mask [B] is true."""
    if mask is None:
        return inputs
    real, fake = swap(mask, inputs.real, inputs.fake)
    real_labels, fake_labels = swap(mask, inputs.real_labels, inputs.fake_labels)
    return inputs.changed(real=real, fake=fake, real_labels=real_labels, fake_labels=fake_labels)


def unmix(
    inputs: StepInputs, mask: Tensor | None
) -> tuple[tuple[Judgement, Tensor], tuple[Judgement, Tensor]]:
    """The discriminator's outputs with the images sorted again: for the real ones, and for the
    generated ones, each with their labels [B, F].

    Args:
        inputs: the result of `mix_batches`.
        mask: as given to `mix_batches`.
    """
    real, fake = inputs.real_judgement, inputs.fake_judgement
    realness = swap(mask, real.realness, fake.realness)
    labels = swap(mask, inputs.real_labels, inputs.fake_labels)
    logits: tuple[tuple[Tensor, ...] | None, tuple[Tensor, ...] | None] = (None, None)
    if real.class_logits is not None and fake.class_logits is not None:
        pairs = [
            swap(mask, *both) for both in zip(real.class_logits, fake.class_logits, strict=True)
        ]
        logits = tuple(first for first, _ in pairs), tuple(second for _, second in pairs)
    return (
        (Judgement(realness[0], logits[0]), labels[0]),
        (Judgement(realness[1], logits[1]), labels[1]),
    )
