import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from impasto.config import AdamConfig, DecayConfig, RunConfig, parse_config, to_yaml
from impasto.errors import ImpastoError
from impasto.formatting import parse_count
from impasto.registry import load_recipe
from impasto.settings import change, parse_settings
from impasto.training.choosing import configure


@pytest.fixture
def config() -> RunConfig:
    config: RunConfig = load_recipe("ukiyoe_dcgan_v1")()
    return config


def test_change_leaves_the_original_alone(config: RunConfig) -> None:
    changed = change(config, {"training.batch": 16, "latent.dim": 8})
    assert (changed.training.batch, changed.latent.dim) == (16, 8)
    assert (config.training.batch, config.latent.dim) == (128, 100)


def test_terms_are_reached_by_name_and_by_position(config: RunConfig) -> None:
    assert change(config, {"objective.bce.weight": 2}).objective[0].weight == 2
    assert change(config, {"objective.0.weight": 3}).objective[0].weight == 3


def test_another_optimiser_forgets_the_options_of_the_first(config: RunConfig) -> None:
    changed = change(config, {"generator_optimiser.optimiser": "rmsprop"})
    assert changed.generator_optimiser.model_dump() == {
        "optimiser": "rmsprop",
        "learning_rate": 5e-4,
        "learning_rate_decay": None,
        "decay": 0.9,
        "eps": 1e-8,
    }


def test_another_feature_network_leaves_the_rest_of_evaluation_alone(config: RunConfig) -> None:
    every = change(config, {"evaluation.every": 16, "evaluation.pictures": 24})
    changed = change(every, {"evaluation.features": "inception"}).evaluation
    assert (changed.features, changed.every, changed.pictures) == ("inception", 16, 24)
    with pytest.raises(
        ImpastoError, match=r"unknown setting 'evaluation\.network'; there is every"
    ):
        change(config, {"evaluation.network": "lite0"})


def test_images_and_epochs_replace_each_other(config: RunConfig) -> None:
    by_images = change(config, {"training.images": 1000})
    assert (by_images.training.images, by_images.training.epochs) == (1000, None)
    assert change(by_images, {"training.epochs": 2}).training.images is None
    # In a first stage too, or the length asked for would be passed over.
    first = change(load_recipe("gangogh_128")(), {"first_stage.training.epochs": 2}).first_stage
    assert first is not None
    assert (first.training.images, first.training.epochs) == (None, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training.bach": 1},
            "unknown setting 'training.bach'; there is accumulate, augment, balance, balance_by",
        ),
        ({"trainin.batch": 1}, "unknown setting 'trainin'; there is autoencoder"),
        ({"resolution.x": 1}, "what stands before '.x' is a plain value"),
        (
            {"first_stage.batch": 1},
            "'first_stage' is left out here (null), so there is no 'first_stage.batch'",
        ),
        ({"objective.hinge.weight": 1}, "unknown setting 'objective.hinge'; there is bce"),
        (
            {"objective.r1.weight": 1},
            "to add a term, set the whole list, such as --set "
            "'objective=[{term: bce}, {term: r1, weight: 1}]'",
        ),
        (
            {"generator_optimiser.betas.first": 0},
            "'generator_optimiser.betas' is a list; set all of it",
        ),
        (
            {"training.augment": "bgc"},
            "training.augment: should be a section, such as '{name: value",
        ),
        ({"training.batch": 0}, "training.batch: Input should be greater than 0"),
        ({"training.batch": "many"}, "training.batch: Input should be a valid integer"),
        ({"training": 3}, "'training' is a section; set one of accumulate"),
        ({"labels": "style"}, "labels: should be a list, such as [this, that]"),
        ({"objective": []}, "objective: should have at least one entry"),
        ({"objective.bce.weight": -1}, "objective.0.weight: Input should be greater"),
        ({"training.accumulate": 3}, "training: batch 128 does not divide by accumulate 3"),
        ({"generator_optimiser.optimiser": "sgd"}, "generator_optimiser"),
        ({"training.ema_half_life": float("nan")}, "training.ema_half_life"),
    ],
)
def test_wrong_settings_say_what_is_right(
    config: RunConfig, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ImpastoError) as error:
        change(config, settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_are_yaml() -> None:
    parsed = parse_settings(["a.b=2", "c=[0.5, 0.9]", "d=null", "e=text", "f=2e-4"])
    assert parsed == {"a.b": 2, "c": [0.5, 0.9], "d": None, "e": "text", "f": "2e-4"}


def test_exponents_without_a_point_are_numbers(config: RunConfig) -> None:
    # YAML 1.1 reads 2e-4 as text.
    settings = parse_settings(["generator_optimiser.learning_rate=2e-4"])
    assert change(config, settings).generator_optimiser.learning_rate == 2e-4


@pytest.mark.parametrize("text", ["training.batch", "=3", "a=[1"])
def test_settings_that_are_none(text: str) -> None:
    with pytest.raises(ImpastoError):
        parse_settings([text])


def test_a_config_survives_yaml_and_json(config: RunConfig) -> None:
    assert "learning_rate: 0.0005" in to_yaml(config)
    assert parse_config(config.model_dump(mode="json"), "run.json") == config


@pytest.mark.parametrize(
    ("text", "count"),
    [("7", 7), ("200k", 200_000), ("1.5M", 1_500_000), ("1e3", 1000), ("2.01k", 2_010)],
)
def test_counts(text: str, count: int) -> None:
    assert parse_count(text) == count


@given(st.text(max_size=6))
@example("9e999999999999999999k")
@example("nan")
def test_counts_never_crash(text: str) -> None:
    with contextlib.suppress(ImpastoError):
        assert parse_count(text) >= 1


def test_learning_rates_fall() -> None:
    smooth = DecayConfig(factor=0.1, images=1000)
    assert [smooth.share(n) for n in (0, 500, 1000, 2000)] == pytest.approx(
        [1, 0.1**0.5, 0.1, 0.01]
    )
    steps = DecayConfig(factor=0.1, images=1000, smooth=False)
    assert [steps.share(n) for n in (0, 999, 1000, 1999, 2000)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )


def test_settings_reach_the_first_stage() -> None:
    config = load_recipe("gantor_v2")()
    changed = change(
        config, {"first_stage.training.batch": 8, "first_stage.objective.bce.weight": 2}
    )
    assert changed.first_stage is not None
    assert changed.first_stage.training.batch == 8
    assert changed.first_stage.objective[0].weight == 2
    assert changed.training.batch == config.training.batch
    with pytest.raises(ImpastoError, match=r"unknown setting 'first_stage.batch'"):
        change(config, {"first_stage.batch": 8})


def test_a_section_can_be_left_out() -> None:
    config = load_recipe("gantor_v2")()
    assert change(config, {"first_stage": None}).first_stage is None
    artgan = load_recipe("artgan")()
    changed = change(artgan, {"generator_optimiser.learning_rate_decay": None})
    assert changed.generator_optimiser.learning_rate_decay is None
    with pytest.raises(ImpastoError, match="'training' is a section"):
        change(config, {"training": None})


def test_the_other_optimisers_options_can_be_set_at_once() -> None:
    settings = {"generator_optimiser.optimiser": "adam", "generator_optimiser.betas": [0.0, 0.9]}
    changed = change(load_recipe("artgan")(), settings).generator_optimiser
    assert isinstance(changed, AdamConfig)
    assert changed.betas == (0.0, 0.9)
    assert changed.learning_rate == 1e-3
    assert changed.learning_rate_decay is not None


def test_a_first_stage_keeps_the_epochs_it_is_given() -> None:
    config = configure("gantor_v2", {"first_stage.training.epochs": 2}, images=32)
    assert config.first_stage is not None
    assert (config.training.images, config.training.epochs) == (32, None)
    first = config.first_stage.training
    assert (first.images, first.epochs) == (None, 2)


def test_images_are_those_of_the_only_stage_where_the_first_is_left_out() -> None:
    config = configure("gantor_v2", {"first_stage": None}, images=32)
    assert config.first_stage is None
    assert config.training.images == 32


def test_what_is_set_stays_as_it_was() -> None:
    settings = {"latent": {"dim": 3, "distribution": "normal"}, "latent.distribution": "uniform"}
    changed = change(load_recipe("artgan")(), settings)
    assert (changed.latent.dim, changed.latent.distribution) == (3, "uniform")
    assert settings["latent"] == {"dim": 3, "distribution": "normal"}
