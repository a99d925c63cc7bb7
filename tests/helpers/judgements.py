"""Shared by several tests: judged_inputs."""

import torch
from torch import Tensor

from impasto.networks import Judgement
from impasto.objectives import StepInputs


def judged_inputs(real: list[float], fake: list[float]) -> StepInputs:
    """The inputs of a step with pictures of one pixel; the realness of a picture is its
    brightness."""

    def pictures(values: list[float]) -> Tensor:
        return torch.tensor(values)[:, None, None, None].expand(-1, 3, 1, 1).clone()

    none = torch.zeros(len(real), 0, dtype=torch.int64)
    return StepInputs(
        real=pictures(real),
        real_labels=none,
        fake=pictures(fake),
        fake_labels=none,
        latents=torch.zeros(len(real), 4),
        discriminate=lambda images, labels: Judgement(images.mean(dim=(2, 3))[:, :1]),
    )
