"""The profile of a step times the trainer's own parts, by their names."""

import itertools

import torch

from benchmarks.training_profile import REST, Stepper
from impasto.collection import Collection


def test_a_steps_time_is_told_by_part(tiny: Collection) -> None:
    recipe = (
        "ukiyoe_dcgan_v1:resolution=32,training.batch=4,generator.width=8,discriminator.width=8"
    )
    stepper = Stepper(recipe, str(tiny.path), torch.device("cpu"))
    clock = itertools.count()
    parts = stepper.parts(2, lambda: float(next(clock)))
    assert {
        "generator forward",
        "discriminator forward, real, in the discriminator's update",
        "discriminator forward, fake, in the generator's update",
        "backward, the discriminator's update",
        "backward, the generator's update",
        "augmentations and noise",
        "data: real pictures",
        "losses",
        "EMA",
        "optimiser, generator",
        "optimiser, discriminator",
        REST,
    } <= parts.keys()
    assert all(seconds > 0 for seconds in parts.values())


def test_a_recipe_without_a_discriminator_is_profiled_too(tiny: Collection) -> None:
    recipe = "flow_32:training.batch=4,generator.size=small"
    stepper = Stepper(recipe, str(tiny.path), torch.device("cpu"))
    clock = itertools.count()
    parts = stepper.parts(2, lambda: float(next(clock)))
    assert {"backward, the generator's update", "losses", REST} <= parts.keys()
    assert not any("discriminator" in name for name in parts)
