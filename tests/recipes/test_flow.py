"""The flow recipes are what was chosen by measuring."""

import pytest

from impasto.config import AdamConfig, RunConfig
from impasto.registry import load_recipe


def recipe(side: int) -> RunConfig:
    config: RunConfig = load_recipe(f"flow_{side}")()
    return config


@pytest.mark.parametrize(("side", "patch"), [(32, 2), (64, None)])
def test_what_was_chosen_by_measuring(side: int, patch: int | None) -> None:
    config = recipe(side)
    assert config.resolution == side
    assert (config.discriminator, config.discriminator_optimiser) == (None, None)
    assert (config.latent.dim, config.latent.distribution) == (None, "normal")
    assert config.generator.options.get("patch") == patch
    expected = {"size": "medium", "preconditioning": "mixed", "steps": 16}
    assert {name: config.generator.options[name] for name in expected} == expected
    (term,) = config.objective
    assert (term.term, term.options) == ("flow", {"time_mean": 0.0, "time_deviation": 1.0})
    assert config.generator_optimiser == AdamConfig(learning_rate=1e-3, betas=(0.9, 0.99))
    training = config.training
    assert (training.batch, training.images, training.hide_labels) == (64, 300_000, 0.1)
    assert (training.ema_half_life, training.ema_rampup) == (5_000, 0.05)
