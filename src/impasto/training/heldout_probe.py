"""Measure the discriminator's overfitting on held-out pictures."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from impasto.evaluation.discriminator import (
    BATCH,
    Statistics,
    judging_by,
    measure,
    noisy,
    real_pictures,
    spread,
    statistics_of_real,
)
from impasto.networks import Judgement
from impasto.objectives import Objective
from impasto.resolution import divided
from impasto.training.data import TrainingPictures

_COUNT = 128
"""Most pictures of each kind."""


def _labels(pictures: TrainingPictures, rows: np.ndarray) -> Tensor:
    return pictures.labels[rows].to(pictures.device)


@dataclass(frozen=True)
class _Outputs:
    """The discriminator's outputs for B images."""

    realness: Tensor
    """[B, N] float32."""
    accuracies: dict[str, Tensor]
    """By label field, the accuracy on images with a known class, on the device. NaN for a field
    without such images; empty if the discriminator does not classify."""


def _judge(
    discriminator: nn.Module,
    statistics: Statistics,
    images: Callable[[slice], Tensor],
    labels: Tensor,
    fields: tuple[str, ...],
) -> _Outputs:
    """Evaluate the discriminator on images.

    Args:
        discriminator: not changed.
        statistics: batch norm statistics to use.
        images: gives the images [b, 3, H, W] of a slice.
        labels: of all images, [B, F].
        fields: names of the F label fields.
    """
    with judging_by(discriminator, statistics):
        slices = [slice(start, start + BATCH) for start in range(0, len(labels), BATCH)]
        judgements: list[Judgement] = [discriminator(images(part), labels[part]) for part in slices]
    accuracies = {}
    for field, name in enumerate(fields if judgements[0].class_logits else ()):
        predicted = torch.cat(
            [(each.class_logits or ())[field].argmax(dim=1) for each in judgements]
        )
        known = labels[:, field] >= 0
        accuracies[name] = ((predicted == labels[:, field]) & known).sum() / known.sum()
    return _Outputs(torch.cat([each.realness.float() for each in judgements]), accuracies)


@torch.no_grad()
def probe_heldout(
    discriminator: nn.Module,
    objective: Objective,
    pictures: TrainingPictures,
    fields: tuple[str, ...],
    fakes: tuple[Tensor, Tensor],
    *,
    real_noise: float = 0.0,
    fake_noise: float = 0.0,
) -> dict[str, float]:
    """The discriminator's scores of training pictures (`shown`), held-out ones and generated ones
    (`sampled`), each with the noise of training.

    Training and held-out pictures use the batch norm statistics of training pictures, generated
    ones their own, see `evaluation/discriminator.py`. So the accuracies are those of `impasto
    classify`.

    Args:
        discriminator: not changed.
        objective: its adversarial term defines the score.
        pictures: the training and held-out pictures.
        fields: label fields that it classifies.
        fakes: images [B, 3, H, W] and their labels [B, F].
        real_noise: `training.real_noise`.
        fake_noise: `training.fake_noise`.

    Returns:
        The mean score of each kind (`score/KIND`), the accuracy on classes (`accuracy/FIELD/KIND`),
        and `overfitting`, r_v of Karras et al. 2020 (arXiv:2006.06676, equation 1): 0 if held-out
        pictures score like training pictures, 1 if like generated ones. Empty without held-out
        pictures.
    """
    collection, device = pictures.collection, pictures.device
    count = min(_COUNT, len(collection.heldout_indices), len(collection.train_indices))
    if count == 0:
        return {}
    resolution = divided(collection.resolution, pictures.reduction)
    real = statistics_of_real(
        discriminator, collection, resolution, len(fields), noise=real_noise, device=device
    )
    outputs: dict[str, _Outputs] = {}
    for kind, split in (
        ("shown", collection.train_indices),
        ("heldout", collection.heldout_indices),
    ):
        rows = spread(split, count)

        def taken(some: slice, rows: np.ndarray = rows) -> Tensor:
            return real_pictures(
                collection, rows[some], resolution, noise=real_noise, device=device
            )

        outputs[kind] = _judge(discriminator, real, taken, _labels(pictures, rows), fields)
    generated = noisy(fakes[0], fake_noise, range(len(fakes[0])))
    fake = measure(discriminator, generated.split(BATCH), len(fields))
    outputs["sampled"] = _judge(discriminator, fake, lambda some: generated[some], fakes[1], fields)
    return _measures(objective, outputs)


def _measures(objective: Objective, outputs: dict[str, _Outputs]) -> dict[str, float]:
    """The result of `probe_heldout`, from the outputs for the three kinds of pictures."""
    on_device = {kind: output.realness.mean() for kind, output in outputs.items()}
    for kind, output in outputs.items():
        on_device[f"score/{kind}"] = objective.score(output.realness).mean()
        on_device |= {f"accuracy/{name}/{kind}": share for name, share in output.accuracies.items()}
    # One copy from the device for all numbers.
    found = dict(zip(on_device, torch.stack(list(on_device.values())).tolist(), strict=True))
    shown, heldout, sampled = (found.pop(kind) for kind in ("shown", "heldout", "sampled"))
    if shown > sampled:
        found["overfitting"] = (shown - heldout) / (shown - sampled)
    return {
        name: value
        for name, value in found.items()
        if not (name.startswith("accuracy/") and math.isnan(value))
    }
