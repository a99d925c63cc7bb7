"""Whether the discriminator knows its pictures by heart: it is asked about ones it never trained on."""

from collections.abc import Callable

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
    realness: dict[str, Tensor] = {}
    right: dict[str, float] = {}

    def ask(
        kind: str, statistics: Statistics, images: Callable[[slice], Tensor], labels: Tensor
    ) -> None:
        said: list[Judgement] = []
        with judging_by(discriminator, statistics):
            for start in range(0, len(labels), BATCH):
                some = slice(start, start + BATCH)
                said.append(discriminator(images(some), labels[some]))
        realness[kind] = torch.cat([each.realness.float() for each in said])
        for field, name in enumerate(fields if said[0].class_logits else ()):
            named = torch.cat([(each.class_logits or ())[field].argmax(dim=1) for each in said])
            known = labels[:, field] >= 0
            if known.any():
                hits = (named == labels[:, field])[known]
                right[f"accuracy/{name}/{kind}"] = float(hits.float().mean())

    real = statistics_of_real(
        discriminator, collection, resolution, len(fields), noise=real_noise, device=device
    )
    for kind, split in (("shown", pictures.rows), ("heldout", collection.heldout_indices)):
        rows = spread(split, count)

        def taken(some: slice, rows: np.ndarray = rows) -> Tensor:
            return real_pictures(
                collection, rows[some], resolution, noise=real_noise, device=device
            )

        ask(kind, real, taken, _labels(pictures, rows))
    generated = noisy(fakes[0], fake_noise, range(len(fakes[0])))
    fake = measure(discriminator, generated.split(BATCH), len(fields))
    ask("sampled", fake, lambda some: generated[some], fakes[1])
    found = {f"score/{kind}": float(objective.score(v).mean()) for kind, v in realness.items()}
    shown, heldout, sampled = (
        float(realness[kind].mean()) for kind in ("shown", "heldout", "sampled")
    )
    if shown > sampled:
        found["overfitting"] = (shown - heldout) / (shown - sampled)
    return found | right
