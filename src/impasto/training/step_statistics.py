"""The statistics of one step: losses, the terms' parts of them, and the discriminator's outputs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import Objective
from impasto.training.portions import Counted

OVERFITTING = "overfitting signs"


def note_loss(
    noted: dict[str, Counted], network: str, loss: Tensor, shares: Mapping[str, Tensor]
) -> None:
    """Note the loss of a network and each term's share of it."""
    one = loss.new_ones(())
    noted[f"loss/{network}"] = (loss.detach(), one)
    for name, share in shares.items():
        noted[f"term/{name}/{network}"] = (share.detach(), one)


@torch.no_grad()
def note_judgements(
    noted: dict[str, Counted],
    objective: Objective,
    of_real: tuple[Judgement, Tensor],
    of_fake: tuple[Judgement, Tensor],
    fields: tuple[str, ...],
) -> None:
    """Note the discriminator's mean scores and accuracies.

    `accuracy/real` and `accuracy/fake` are the shares of real and generated images that it classifies
    right, `accuracy/FIELD/...` the share whose class it predicts, of those with a known label.

    Args:
        noted: of a portion.
        objective: of the run.
        of_real: the discriminator's output for the real images, and their labels [B, F].
        of_fake: the same for the generated images.
        fields: names of the F label fields.
    """
    real, fake = of_real[0], of_fake[0]
    boundary = objective.boundary(real.realness, fake.realness)
    one = boundary.new_ones(())
    noted["score/real"] = (objective.score(real.realness).mean(), one)
    noted["score/fake"] = (objective.score(fake.realness).mean(), one)
    noted["accuracy/real"] = ((real.realness > boundary).float().mean(), one)
    noted["accuracy/fake"] = ((fake.realness <= boundary).float().mean(), one)
    for kind, (judgement, labels) in (("real", of_real), ("fake", of_fake)):
        for field, logits in enumerate(judgement.class_logits or ()):
            known = labels[:, field] >= 0
            right = (logits.argmax(dim=1) == labels[:, field]) & known
            noted[f"accuracy/{fields[field]}/{kind}"] = (right.sum(), known.sum())


class StepStatistics:
    """Statistics of one step, over its updates and portions. They stay on the device."""

    def __init__(self) -> None:
        self._values: dict[str, list[Counted]] = {}

    def add(self, noted: Mapping[str, Counted]) -> None:
        """Add the statistics of one update."""
        for name, value in noted.items():
            self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, Tensor]:
        """The mean of each, a float32 scalar; NaN for the accuracy of a batch without a known label."""
        return {
            name: torch.stack([total / count for total, count in values]).float().mean()
            for name, values in self._values.items()
        }
