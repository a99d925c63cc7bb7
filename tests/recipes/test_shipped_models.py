"""The models that come with the package."""

import re
from pathlib import Path

import pytest
import torch

from impasto import cli
from impasto.config import RunConfig
from impasto.files import read_json
from impasto.objectives import Objective
from impasto.registry import load_recipe
from impasto.resolution import square_of
from impasto.sampling import Sampler, latents_of_seeds
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import (
    Model,
    find_model,
    load_discriminator,
)
from impasto.sampling.shipped import LARGER, SHIPPED
from impasto.settings import change, parse_settings


@pytest.mark.parametrize("name", SHIPPED)
def test_it_paints_and_says_where_it_comes_from(name: str) -> None:
    model = Model.load(find_model(Path(name)))
    assert [field.name for field in model.record.labels] == ["style"]
    seeds = range(8)
    sampler = Sampler(model.generator, model.latent, torch.device("cpu"), label_fields=1)
    pictures = sampler.images(
        latents_of_seeds(seeds, model.latent), labels_of_seeds(seeds, model.record)
    )
    side = 128 if name.endswith("-128") else 64
    assert pictures.shape == (8, 3, side, side)
    # Pictures, not noise and not one and the same.
    assert torch.pdist(pictures.flatten(1)).min() > 5
    neighbours = (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().mean()
    assert 0.01 < neighbours < 0.25
    made = read_json(SHIPPED[name] / "made.json", "record")
    assert made["images_seen"] == model.record.images_seen
    assert made["weights_sha256"] == model.record.weights_sha256
    assert made["scores"]["kid-lite0"] < 0.1
    assert load_discriminator(SHIPPED[name]) is not None
    assert model.record.collection.licences
    known = [text for text in model.record.collection.licences if not text.endswith(" others")]
    assert all("public domain" in licence for licence in known)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_what_the_recipe_trains_now(name: str) -> None:
    record = Model.load(SHIPPED[name]).record
    recipe: RunConfig = load_recipe(record.recipe)()
    for player in ("generator", "discriminator"):
        mine, theirs = getattr(record, player), getattr(recipe, player)
        assert mine.network == theirs.network
        # What the recipe sets; a model's record has the defaults besides.
        assert mine.options | theirs.options == mine.options
    whole = read_json(SHIPPED[name] / "made.json", "record")
    made = whole["config"]
    changes = parse_settings(re.findall(r"--set (\S+)", whole["made_by"]))
    recipe = change(recipe, changes)
    now = recipe.model_copy(update={"objective": Objective(recipe.objective).configs()})
    expected = now.model_dump(mode="json")
    for section in ("objective", "generator_optimiser", "discriminator_optimiser"):
        assert made[section] == expected[section]
    for setting in ("batch", "augment", "ema_half_life", "ema_rampup", "mirror"):
        assert made["training"][setting] == expected["training"][setting]


def test_they_are_small() -> None:
    sizes = {
        name: sum(file.stat().st_size for file in folder.iterdir())
        for name, folder in SHIPPED.items()
    }
    assert sizes["masters"] < 8_000_000
    assert sizes["paintings"] + sizes["paintings-128"] < 12 * 2**20


@pytest.mark.parametrize("name", ["paintings", "paintings-128"])
def test_paintings_copies_no_more_than_chance_explains(name: str) -> None:
    made = read_json(SHIPPED[name] / "made.json", "record")
    assert made["scores"]["copied-lite0"] <= made["scores"]["copied-by-chance-at-most"]
    record = Model.load(SHIPPED[name]).record
    assert [len(field.classes) for field in record.labels] == [26]
    assert len(record.collection.artists) > 20
    assert record.collection.count == 1_817


def test_the_larger_version_learned_from_the_smaller_one() -> None:
    for name, versions in LARGER.items():
        before = Model.load(SHIPPED[name]).record
        for version in versions:
            record = Model.load(SHIPPED[version]).record
            made = read_json(SHIPPED[version] / "made.json", "record")
            assert made["started_from"] == name
            assert record.resolution == 2 * square_of(before.resolution)
            assert record.labels == before.labels
            # Packed twice, so the hashes differ.
            assert record.label_counts == before.label_counts
            for what in ("count", "artists", "licences"):
                assert getattr(record.collection, what) == getattr(before.collection, what)
            name, before = version, record


def test_the_command_line_paints_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["impasto", "sample", "masters", "--seeds", "0-3", "--grid", "grid.png"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert (tmp_path / "grid.png").stat().st_size > 1_000
