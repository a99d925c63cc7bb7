"""`--from auto`: which model of the package a training starts from."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation import distance as evaluation_distance
from impasto.features import load_network
from impasto.registry import load_recipe
from impasto.sampling.model import Model, ModelRecord, checkpoint_folders, export
from impasto.sampling.shipped import SHIPPED
from impasto.training import resume, starting, train
from impasto.training.config_files import load_config
from impasto.training.starting import AUTO, chosen_start
from tests.helpers.command_line import Say
from tests.helpers.training import small


@pytest.fixture(scope="module")
def tiny_flagship(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a narrow flagship that has seen one batch."""
    folder = tmp_path_factory.mktemp("shipped")
    config = small("flagship_64", training__images=8, labels=["style"])
    run = train(config, labelled, out=folder, device="cpu")
    export(run, folder / "model", discriminator=True)
    return folder / "model"


@pytest.fixture
def measured(tiny_flagship: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The distances of two models of the package, which can be set."""
    found = {"masters": 0.3, "paintings": 0.1}
    for name in found:
        monkeypatch.setitem(SHIPPED, name, tiny_flagship)
    numbers = iter(range(1_000_000))
    monkeypatch.setattr(
        starting, "distance", lambda *_: list(found.values())[next(numbers) % len(found)]
    )
    return found


def test_the_distance_is_kid(
    tiny_flagship: Path, labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_distance, "PICTURES", 9)
    model = Model.load(tiny_flagship)
    found = evaluation_distance.distance(model, labelled)
    network = load_network("lite0", device=torch.device("cpu"))
    rows = np.sort(np.random.default_rng(0).choice(labelled.train_indices, 9, replace=False))
    real = network(torch.from_numpy(labelled.images(rows))).features.double()
    fake = network(torch.from_numpy(model.sample(range(9)))).features.double()

    def kernel(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one @ other / len(one) + 1) ** 3)

    pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
    among = sum(kernel(real[i], real[j]) + kernel(fake[i], fake[j]) for i, j in pairs) / 72
    across = sum(kernel(a, b) for a in real for b in fake) / 81
    assert found == pytest.approx(among - 2 * across, abs=1e-4)


def test_the_nearest_model_is_taken_and_said(
    measured: dict[str, float], labelled: Collection, capsys: Any, told: None
) -> None:
    assert chosen_start(AUTO, None, labelled).model == Path("paintings")
    line = capsys.readouterr().out
    assert line.startswith("--from auto: from paintings; distance ")
    assert "0.300 of masters, 0.100 of paintings" in line
    measured["masters"] = 0.05
    assert chosen_start(AUTO, "flagship_64", labelled).model == Path("masters")
    measured |= {"masters": 0.4, "paintings": 0.35}
    assert chosen_start(AUTO, None, labelled).model is None
    assert "from nothing; distance" in capsys.readouterr().out


def test_a_larger_version_is_taken_where_it_is_not_too_large(
    measured: dict[str, float],
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one at twice the side; it is not measured, since the limit was found with the smaller one."""
    version = tmp_path / "version"
    shutil.copytree(SHIPPED["paintings"], version)
    record = json.loads((version / "model.json").read_text())
    (version / "model.json").write_text(json.dumps(record | {"resolution": 128}))
    monkeypatch.setitem(SHIPPED, "paintings-128", version)
    larger, same = Path("paintings-128"), Path("paintings")
    assert chosen_start(AUTO, "flagship_128", labelled).model == larger
    assert chosen_start(AUTO, "flagship_256", labelled).model == larger
    assert chosen_start(AUTO, "flagship_64", labelled).model == same
    assert chosen_start(AUTO, None, labelled).model == same
    assert chosen_start(AUTO, None, labelled, settings={"resolution": "160x120"}).model == larger
    assert chosen_start(AUTO, None, labelled, settings={"resolution": "wide"}).model == same
    grown = load_recipe("flagship_256")()
    assert chosen_start(AUTO, grown, labelled).model == larger
    first = load_recipe("flagship_64")()
    assert (
        chosen_start(AUTO, grown.model_copy(update={"first_stage": first}), labelled).model == same
    )
    measured |= {"masters": 0.05}
    assert chosen_start(AUTO, "flagship_128", labelled).model == Path("masters")


def test_where_there_is_nothing_to_choose(
    measured: dict[str, float], labelled: Collection, capsys: Any, told: None
) -> None:
    assert chosen_start(Path("masters"), None, labelled).model == Path("masters")
    assert chosen_start(None, None, labelled).model is None
    assert capsys.readouterr().out == ""
    assert chosen_start(AUTO, "wikiart_dcgan", labelled).model is None
    assert "do not fit recipe wikiart_dcgan" in capsys.readouterr().out


def test_the_choice_is_recorded_and_resuming_is_exact(
    measured: dict[str, float], labelled: Collection, say: Say, tmp_path: Path
) -> None:
    config = small("flagship_64", training__images=24, labels=["style"])
    options = ["--config", str(tmp_path / "config.json"), "--data", str(labelled.path)]
    (tmp_path / "config.json").write_text(config.model_dump_json())
    whole, died = tmp_path / "whole", tmp_path / "died"
    code, out, error = say("train", *options, "--from", "auto", "--run", str(whole))
    assert code == 0, error
    assert "--from auto: from paintings" in out
    record = json.loads((whole / "run.json").read_text())
    assert record["started_from"]["model"] in SHIPPED
    assert f"--from auto: {record['chosen_start']}\n" in out
    assert record["chosen_start"].startswith("from paintings; distance of this collection")
    assert "planned_seconds" not in record
    assert int(checkpoint_folders(whole)[0].name) == 0
    chosen = train(config, labelled, run=died, device="cpu", start_from=Path("paintings"))
    assert fingerprint(chosen) == fingerprint(whole)
    measured |= {"masters": 0.0, "paintings": 1.0}
    assert chosen_start(AUTO, config, labelled, run=whole).model == Path(
        record["started_from"]["model"]
    )
    assert resume(whole) == whole


def test_models_with_other_networks_than_are_set_are_none_to_start_from(
    measured: dict[str, float], labelled: Collection, capsys: Any, told: None, tiny_flagship: Path
) -> None:
    own = ModelRecord.of(tiny_flagship)
    width = own.generator.options["width"]
    kept = {"generator.width": width, "training.batch": 4, "discriminator.read_at": 32}
    assert chosen_start(AUTO, None, labelled, settings=kept).model == Path("paintings")
    capsys.readouterr()
    for name, value in {
        "generator.width": 2 * width,
        "discriminator.head_width": 7,
        "latent.dim": 5,
        "generator.network": "r3gan",
        "discriminator": None,
    }.items():
        assert chosen_start(AUTO, None, labelled, settings={name: value}).model is None
        assert capsys.readouterr().out == (
            f"--from auto: from nothing; the models of the package have another {name} than is set\n"
        )


def test_a_config_that_changes_networks_is_treated_as_settings(
    measured: dict[str, float], labelled: Collection, tmp_path: Path, tiny_flagship: Path
) -> None:
    width = ModelRecord.of(tiny_flagship).generator.options["width"]
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: flagship_64\ntraining.batch: 4\ndiscriminator.read_at: 32\n")
    assert chosen_start(AUTO, load_config(file), labelled).model == Path("paintings")
    for name, lines in {
        "generator.width": f"generator.width: {2 * width}",
        "discriminator.head_width": "discriminator:\n  head_width: 7",
        "generator.network": "generator:\n  network: r3gan",
    }.items():
        file.write_text(f"recipe: flagship_64\n{lines}\n")
        found = chosen_start(AUTO, load_config(file), labelled)
        assert found.model is None
        assert found.chosen == (
            f"from nothing; the models of the package have another {name} than is set"
        )
    # What comes on top counts.
    file.write_text(f"recipe: flagship_64\ngenerator.width: {2 * width}\n")
    again = chosen_start(AUTO, load_config(file), labelled, settings={"generator.width": width})
    assert again.model == Path("paintings")


def test_the_command_gives_its_settings(
    measured: dict[str, float], labelled: Collection, say: Say
) -> None:
    _, out, _ = say(
        *("train", "--data", str(labelled.path), "--from", "auto", "--dry-run"),
        *("--set", "generator.width=5", "--set", "training.images=nothing"),
    )
    assert "have another generator.width than is set" in out


def test_a_run_that_started_from_another_says_what_to_do(
    measured: dict[str, float], labelled: Collection, tiny_flagship: Path, tmp_path: Path
) -> None:
    config = small("flagship_64", training__images=8, labels=["style"])
    shutil.copytree(tiny_flagship, tmp_path / "mine" / "model")
    run = tmp_path / "run"
    train(config, labelled, run=run, device="cpu", start_from=tmp_path / "mine" / "model")
    with pytest.raises(ImpastoError) as caught:
        chosen_start(AUTO, config, labelled, run=run)
    assert str(caught.value) == (
        f"{run} started from another model, 'model': give its path with --from, or go on with "
        f"impasto resume {run}"
    )


def test_a_damaged_run_is_one_line(labelled: Collection, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ImpastoError, match="format this version of impasto does not know"):
        chosen_start(AUTO, None, labelled, run=tmp_path)


def test_what_a_word_stands_for_is_measured(
    tiny_flagship: Path, labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of this name in the working directory comes before that of the package."""
    shutil.copytree(tiny_flagship, tmp_path / "paintings")
    monkeypatch.chdir(tmp_path)
    here = Model.load("paintings").record.weights_sha256

    def distance(model: Model, *_: object) -> float:
        return 0.1 if model.record.weights_sha256 == here else 0.3

    monkeypatch.setattr(starting, "distance", distance)
    assert chosen_start(AUTO, None, labelled).model == Path("paintings")
