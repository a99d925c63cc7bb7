"""The flagship's recipes are what docs/notebook.md measured: a setting that is changed by mistake, or by
measuring again, is to be changed here too."""

import pytest

from impasto.config import AdamConfig, RunConfig
from impasto.registry import load_recipe


def recipe(side: int) -> RunConfig:
    config: RunConfig = load_recipe(f"flagship_{side}")()
    return config


@pytest.mark.parametrize("side", [32, 64, 128])
def test_what_was_chosen_by_measuring(side: int) -> None:
    config = recipe(side)
    training = config.training
    assert config.resolution == side
    assert config.latent.dim == 128
    assert config.generator.model_dump() == {
        "network": "fastgan",
        "width": 16,
        "embedding": 16,
        "pixel_shuffle": True,
        "spectral_norm": False,
        "big": False,
        "self_modulation": True,
    }
    assert config.discriminator is not None
    assert config.discriminator.model_dump() == {
        "network": "projected",
        "read_at": max(side, 64),
        "expand": False,
        "head_width": 64,
        "pixel_width": 16,
        "pixel_batch_norm": True,
    }
    assert [(term.term, term.weight, term.options) for term in config.objective] == [
        ("hinge", 1.0, {}),
        ("mismatched", 1.0, {}),
    ]
    assert config.generator_optimiser == AdamConfig(learning_rate=1e-3, betas=(0, 0.99))
    assert config.discriminator_optimiser == AdamConfig(learning_rate=5e-4, betas=(0, 0.99))
    assert training.augment is not None
    assert training.augment.kinds == ("colour", "translation")
    assert (training.batch, training.ema_half_life, training.ema_rampup) == (32, 5_000, 0.05)
    assert training.images == (300_000 if side == 128 else 50_000)


def test_the_largest_reads_a_reduced_picture_and_a_square_of_it() -> None:
    config, smaller = recipe(256), recipe(128)
    assert config.discriminator is not None
    assert smaller.discriminator is not None
    assert config.discriminator.options == {**smaller.discriminator.options, "crop": 128}
    assert config.training.images == 300_000
    same = {"resolution": 128, "recipe": "flagship_128", "discriminator": smaller.discriminator}
    assert config.model_copy(update=same) == smaller
