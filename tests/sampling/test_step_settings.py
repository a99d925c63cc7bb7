"""Settings of generators that work in steps, changed at sampling: library, command line, evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import impasto
from impasto.collection import Collection
from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.evaluation.record import METRICS_FILE, read_rows
from impasto.networks import generator_of
from impasto.sampling import Model
from impasto.sampling.model import ModelRecord
from impasto.sampling.step_settings import StepSettings
from tests.helpers.command_line import invoke
from tests.helpers.records import record_of

STYLES: dict[str, tuple[str, ...]] = {"style": ("Cubism", "Ukiyo-e")}


def record_of_flow(fields: dict[str, tuple[str, ...]], **settings: Any) -> ModelRecord:
    rows = [tuple(0 for _ in fields)]
    options = {"network": "flow", "patch": 4, "steps": 4, **settings}
    changes = {
        "resolution": 32,
        "latent": LatentConfig(dim=3 * 32 * 32),
        "generator": NetworkConfig.model_validate(options),
        "discriminator": None,
    }
    return record_of(fields, rows, [1]).model_copy(update=changes)


def model(folder: Path, fields: dict[str, tuple[str, ...]] | None = None, seed: int = 0) -> Path:
    """A folder with a model of random weights."""
    record = record_of_flow(STYLES if fields is None else fields)
    torch.manual_seed(seed)
    generator = generator_of(record, record.label_sizes)
    for parameter in generator.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0.0, 0.05)
    folder.mkdir()
    Model.write(folder, generator.state_dict(), record)
    return folder


def test_a_model_is_loaded_with_other_settings(tmp_path: Path) -> None:
    path, guide = model(tmp_path / "model"), model(tmp_path / "guide", seed=1)
    usual = Model.load(path)
    assert usual.made_with is None
    pictures = [usual.sample([3, 4])]
    for settings, words in (
        ({"steps": 2}, "2 steps"),
        ({"sampler": "euler"}, "euler"),
        ({"guidance": 3}, "guidance 3"),
        ({"guidance": 3, "guide": guide}, "guidance 3, guide "),
    ):
        changed = Model.load(path, **settings)
        assert str(changed.made_with).startswith(words)
        pictures.append(changed.sample([3, 4]))
        assert np.array_equal(
            impasto.sample(path, [3, 4], device="cpu", **settings),
            pictures[-1],
        )
    assert len({each.tobytes() for each in pictures}) == 5
    same = Model.load(path, steps=4, sampler="heun", guidance=1.0)
    assert np.array_equal(same.sample([3, 4]), pictures[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "'generator.steps' cannot be 0"),
        ({"sampler": "rk4"}, "'generator.sampler' cannot be 'rk4'"),
        ({"guidance": float("nan")}, "'generator.guidance' cannot be nan"),
        ({"guide": "model"}, "a guide has no effect at guidance 1"),
        ({"guidance": 2, "guide": "nothing"}, "nothing does not exist"),
        ({"guidance": 2, "guide": "other"}, "other cannot guide this model, whose classes"),
        ({"guidance": 2, "guide": "masters"}, "masters cannot guide this model, whose network"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    settings: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path / "model")
    model(tmp_path / "other", {"style": ("Rococo",)})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImpastoError, match=message):
        Model.load(path, **settings)


def test_generators_without_steps_have_no_such_settings(tmp_path: Path) -> None:
    for name, value in (("steps", 8), ("sampler", "euler"), ("guidance", 2), ("guide", "masters")):
        code, text = invoke("sample", "masters", f"--{name}", value, "--grid", tmp_path / "g.png")
        assert code == 2
        assert f"{name} is for generators that make a picture in steps" in text
        assert "'fastgan'" in text
    with pytest.raises(ImpastoError, match="a loaded model keeps its settings"):
        impasto.sample(Model.load("masters"), [0], steps=3)
    plain = model(tmp_path / "plain", {})
    with pytest.raises(ImpastoError, match="this model has no labels"):
        Model.load(plain, guidance=2.0)
    assert Model.load(plain, guidance=2.0, guide=plain).sample([0]).shape == (1, 32, 32, 3)


def test_guidance_needs_pictures_without_labels(tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    file = path / "model.json"
    record = json.loads(file.read_text())
    assert record["hides_labels"] is None  # as in models from before it was noted
    Model.load(path, guidance=2.0)
    file.write_text(json.dumps(record | {"hides_labels": False}))
    code, text = invoke("sample", path, "--guidance", 2, "--grid", tmp_path / "g.png")
    assert code == 2
    assert "this model was trained with labels only (training.hide_labels=0); give a guide" in text
    assert Model.load(path, guidance=1.0).sample([0]).shape == (1, 32, 32, 3)
    Model.load(path, guidance=2.0, guide=path)
    rows = {"label_rows": [[0], [-1]], "label_counts": [1, 1]}
    for changes in ({"hides_labels": True}, {"hides_labels": False, **rows}):
        file.write_text(json.dumps(record | changes))
        Model.load(path, guidance=2.0)


def test_the_command_line_changes_them(tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    grids = []
    for options in ((), ("--steps", 2, "--sampler", "euler", "--guidance", 2.5, "--guide", path)):
        grid = tmp_path / f"{len(options)}.png"
        assert invoke("sample", path, "--seeds", "0-3", "--grid", grid, *options)[0] == 0
        grids.append(grid.read_bytes())
    assert grids[0] != grids[1]


def test_an_evaluation_is_of_the_settings_it_was_made_with(
    labelled: Collection, tmp_path: Path
) -> None:
    path, home = model(tmp_path / "model"), tmp_path / "home"

    def evaluate(**settings: Any) -> bool:
        """Whether it was recorded before."""
        found = impasto.evaluate(
            path,
            labelled,
            pictures=4,
            per_class=0,
            out=home,
            device="cpu",
            how=StepSettings(**settings),
        )
        return found.newest[0].before

    assert [evaluate(), evaluate(steps=2), evaluate(), evaluate(steps=2)] == [
        False,
        False,
        True,
        True,
    ]
    rows = read_rows(home / METRICS_FILE)
    assert [row.pictures.made_with for row in rows] == [None, "2 steps"]
    assert rows[0].folder != rows[1].folder
    assert "seeds 0 to 3, 2 steps" in (home / str(rows[1].folder) / "scores.txt").read_text()
    with pytest.raises(
        ImpastoError, match="--steps, --sampler, --guidance, --guide and --aspect are for"
    ):
        impasto.evaluate(labelled.path, labelled, how=StepSettings(steps=2))
