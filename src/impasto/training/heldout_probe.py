"""Whether the discriminator knows its pictures by heart: it is asked about ones it never trained on."""

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
from impasto.training.data import TrainingPictures

_COUNT = 128
"""Pictures of each kind, at most, that it is asked about."""


def _labels(pictures: TrainingPictures, rows: np.ndarray) -> Tensor:
    return pictures.labels[rows].to(pictures.device)


@dataclass(frozen=True)
class _Answers:
    """What the discriminator says of images."""

    realness: Tensor
    """[B, N] float32."""
    accuracies: dict[str, Tensor]
    """By label field, the share of the images with a known class whose class is named, on the device.
    NaN for a field that no image has a class of; empty where the discriminator names no classes."""


def _ask(
    discriminator: nn.Module,
    statistics: Statistics,
    images: Callable[[slice], Tensor],
    labels: Tensor,
    fields: tuple[str, ...],
) -> _Answers:
    """Show images to the discriminator.

    Args:
        discriminator: left as it was.
        statistics: of batch norm, to judge by.
        images: gives those of a slice, [b, 3, H, W].
        labels: of all of them, [B, F].
        fields: names of the F label fields.
    """
    with judging_by(discriminator, statistics):
        slices = [slice(start, start + BATCH) for start in range(0, len(labels), BATCH)]
        said: list[Judgement] = [discriminator(images(some), labels[some]) for some in slices]
    accuracies = {}
    for field, name in enumerate(fields if said[0].class_logits else ()):
        named = torch.cat([(each.class_logits or ())[field].argmax(dim=1) for each in said])
        known = labels[:, field] >= 0
        accuracies[name] = ((named == labels[:, field]) & known).sum() / known.sum()
    return _Answers(torch.cat([each.realness.float() for each in said]), accuracies)


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
    """What the discriminator says of pictures it trains on (`shown`), of held-out ones and of
    generated ones (`sampled`), each under the noise of training.

    Training and held-out pictures are judged by the same statistics, those of training pictures, and
    generated ones by their own, see `evaluation/discriminator.py`: so the accuracies are those of
    `impasto classify`.

    Args:
        discriminator: left as it was.
        objective: whose score is meant.
        pictures: of both splits.
        fields: label fields whose classes it names.
        fakes: images [B, 3, H, W] and their labels [B, F].
        real_noise: `training.real_noise`.
        fake_noise: `training.fake_noise`.

    Returns:
        The mean score of each kind (`score/KIND`), the share whose class it names
        (`accuracy/FIELD/KIND`), and `overfitting`: how far from training pictures to generated ones
        the held-out ones are taken to be, r_v of Karras et al. 2020 (arXiv:2006.06676, equation 1).
        0: it knows nothing by heart; 1: a real picture that it has not seen is as good as a
        generated one. Nothing without held-out pictures.
    """
    collection, device = pictures.collection, pictures.device
    count = min(_COUNT, len(collection.heldout_indices), len(pictures))
    if count == 0:
        return {}
    resolution = collection.resolution // pictures.reduction
    real = statistics_of_real(
        discriminator, collection, resolution, len(fields), noise=real_noise, device=device
    )
    answers: dict[str, _Answers] = {}
    for kind, split in (("shown", pictures.rows), ("heldout", collection.heldout_indices)):
        rows = spread(split, count)

        def taken(some: slice, rows: np.ndarray = rows) -> Tensor:
            return real_pictures(
                collection, rows[some], resolution, noise=real_noise, device=device
            )

        answers[kind] = _ask(discriminator, real, taken, _labels(pictures, rows), fields)
    generated = noisy(fakes[0], fake_noise, range(len(fakes[0])))
    fake = measure(discriminator, generated.split(BATCH), len(fields))
    answers["sampled"] = _ask(discriminator, fake, lambda some: generated[some], fakes[1], fields)
    return _measures(objective, answers)


def _measures(objective: Objective, answers: dict[str, _Answers]) -> dict[str, float]:
    """What `probe_heldout` returns, from the answers to the three kinds of pictures."""
    on_device = {kind: said.realness.mean() for kind, said in answers.items()}
    for kind, said in answers.items():
        on_device[f"score/{kind}"] = objective.score(said.realness).mean()
        on_device |= {f"accuracy/{name}/{kind}": share for name, share in said.accuracies.items()}
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
