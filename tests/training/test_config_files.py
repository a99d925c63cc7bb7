"""Configs in files: what `impasto recipes` prints, a run.json, and changes to a recipe."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from impasto.collection import Collection
from impasto.config import AdamConfig, Ramp, RunConfig
from impasto.errors import ImpastoError
from impasto.registry import load_recipe, recipe_modules
from impasto.settings import change
from impasto.training import load_config
from impasto.training.resolve import with_defaults
from tests.helpers.command_line import Say, say

__all__ = ["say"]  # a fixture

SMALL = [
    *("--set", "resolution=32", "--set", "training.batch=8", "--set", "training.grid=4"),
    *("--set", "generator.widest=8", "--set", "discriminator.widest=8", "--set"),
    *("generator.narrowest=4", "--images", "32", "--device", "cpu", "--seed", "3"),
]


def written(folder: Path, text: str, name: str = "my.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("recipe", recipe_modules())
def test_what_recipes_prints_is_the_recipe(recipe: str, tmp_path: Path, say: Say) -> None:
    code, out, _ = say("recipes", recipe)
    assert code == 0
    read = with_defaults(load_config(written(tmp_path, out)))
    assert read == with_defaults(load_recipe(recipe)())


def _weights(run: Path) -> str:
    (record,) = (run / "checkpoints").glob("*/model.json")
    digest: str = json.loads(record.read_text())["weights_sha256"]
    return digest


def test_what_recipes_and_run_json_print_trains_the_same_weights(
    tiny: Collection, tmp_path: Path, say: Say
) -> None:
    code, out, _ = say("recipes", "first_look")
    printed = written(tmp_path, out)
    data = ["--data", str(tiny.path), "--out", str(tmp_path / "runs")]
    assert say("train", "first_look", *data, *SMALL)[0] == 0
    assert say("train", "--config", str(printed), *data, *SMALL)[0] == 0
    first, second = (tmp_path / "runs" / f"0000{n}-first_look-tiny" for n in (0, 1))
    assert say("train", "--config", str(first / "run.json"), *data, "--device", "cpu")[0] == 0
    third = tmp_path / "runs" / "00002-first_look-tiny"
    assert _weights(first) == _weights(second) == _weights(third)
    records = [json.loads((run / "run.json").read_text()) for run in (first, second, third)]
    assert records[0]["config"] == records[1]["config"] == records[2]["config"]
    assert records[2]["recipe_text"] == records[0]["recipe_text"]
    code, out, _ = say(
        "train", "--config", str(printed), *data, *SMALL, "--set", "latent.dim=7", "--dry-run"
    )
    assert code == 0
    assert "dim: 7" in out


CHANGES = {
    "recipe": "first_look",
    "training.batch": 4,
    "training": {"seed": 9, "augment": {"kinds": ["colour"]}},
    "generator": {"width": 8, "network": "dcgan"},
    "generator_optimiser.learning_rate": {"start": 1e-3, "end": 1e-4, "images": 100},
    "discriminator_optimiser": {"decay": 0.5, "optimiser": "rmsprop", "learning_rate": 0.01},
    "objective": {"hinge": {"weight": 2}},
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_changes_to_a_recipe(tmp_path: Path, encoding: str) -> None:
    settings: dict[str, Any] = {
        "training.batch": 4,
        "training.seed": 9,
        "training.augment": {"kinds": ["colour"]},
        "generator.network": "dcgan",
        "generator.width": 8,
        "generator_optimiser.learning_rate": {"start": 1e-3, "end": 1e-4, "images": 100},
        "discriminator_optimiser.optimiser": "rmsprop",
        "discriminator_optimiser.decay": 0.5,
        "discriminator_optimiser.learning_rate": 0.01,
        "objective.hinge.weight": 2,
    }
    wanted: RunConfig = change(load_recipe("first_look")(), settings)
    file = tmp_path / "my.json"
    file.write_text(json.dumps(CHANGES), encoding=encoding)
    assert load_config(str(file)) == wanted
    assert isinstance(wanted.generator_optimiser.learning_rate, Ramp)
    unnamed = {name: value for name, value in CHANGES.items() if name != "recipe"}
    file.write_text(json.dumps(unnamed), encoding=encoding)
    assert load_config(file, "first_look") == wanted
    lines = "# mine\nrecipe: first_look\ntraining:\n  batch: 4\ngenerator_optimiser: {eps: 1e-6}\n"
    (tmp_path / "my.yaml").write_text(lines, encoding=encoding)
    config = load_config(tmp_path / "my.yaml")
    assert config.training.batch == 4
    assert isinstance(config.generator_optimiser, AdamConfig)
    assert config.generator_optimiser.eps == 1e-6


def test_a_whole_config_with_changes_below_it(tmp_path: Path) -> None:
    whole = load_recipe("gangogh_128")().model_dump(mode="json")
    whole |= {"training.batch": 3, "first_stage.training": {"batch": 5}}
    config = load_config(written(tmp_path, json.dumps(whole)))
    assert config.first_stage is not None
    assert (config.training.batch, config.first_stage.training.batch) == (3, 5)
    assert config.recipe == "gangogh_128"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: first_look\ntraining: {bacth: 3}", "unknown setting 'training.bacth'; there is "),
        ("recipe: first_look\nbatch: 3", "unknown setting 'batch'; there is "),
        ("recipe: first_look\ngenerator.widht: 3", "unknown setting 'generator.widht'; there is "),
        ("recipe: first_look\nobjective: {bce: {weight: 1}}", "unknown setting 'objective.bce"),
        ("recipe: first_look\nresolution: tall", "resolution: 'tall' is no size"),
        ("recipe: first_lok", "unknown recipe 'first_lok'; there is artgan"),
        ("recipe: [1]", "recipe should be a name, not [1]"),
        ("training.batch: 4", "it names no recipe; add a line such as recipe: flagship_64"),
        ("", " has no settings; it should have lines such as training.batch: 64"),
        ("- 1", " has no settings; it should have lines such as training.batch: 64"),
        ("1: 2", " has no settings; it should have lines such as training.batch: 64"),
        ("recipe: [", ", line 1 is not YAML: expected the node content"),
        ("recipe: 2026-99-01", " is neither YAML nor JSON: month must be in 1..12"),
        ("recipe: first_look\nlabels: []\nlabels: [a]", ": 'labels' is there twice; leave one"),
        ('{"recipe": "first_look", "labels": [], "labels": ["a"]}', ": 'labels' is there twice"),
        ("[" * 3000, " is neither YAML nor JSON: "),
    ],
)
def test_one_line_with_the_name_of_the_file(
    tmp_path: Path, say: Say, text: str, message: str
) -> None:
    file = written(tmp_path, text)
    code, _, err = say("train", "--config", str(file), "--data", "masters")
    assert code == 2
    assert err.startswith(f"impasto: {file}")
    assert message in err
    assert err.count("\n") == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"cannot read .*none.yaml: No such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_bytes(b"recipe: \xff")
    with pytest.raises(ImpastoError, match=r"a.yaml is not text in UTF-8; save it as UTF-8"):
        load_config(tmp_path / "a.yaml")
    file = written(tmp_path, "recipe: first_look\n")
    with pytest.raises(ImpastoError, match=r"it is of the recipe first_look, not of dcgan"):
        load_config(file, "dcgan")
    whole = load_recipe("first_look")().model_dump(mode="json") | {"colour": 1}
    with pytest.raises(ImpastoError, match=r"my.yaml: .*colour: there is no such setting"):
        load_config(written(tmp_path, json.dumps(whole)))


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "plugins.md"
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    config = load_config(written(tmp_path, example))
    assert (config.recipe, config.training.batch) == ("flagship_64", 32)
    assert {term.term: term.weight for term in config.objective}["mismatched"] == 0.5
