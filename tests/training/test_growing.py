"""A run that starts from the weights of a first stage of fewer pixels, trained in its own folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig, to_yaml
from impasto.errors import ImpastoError
from impasto.reporting.record import read_record
from impasto.reporting.status import about
from impasto.resolution import times
from impasto.sampling.model import SMOOTHED_KID, Model, checkpoint_folders
from impasto.settings import change
from impasto.training import resume, train
from impasto.training.estimate import estimate
from impasto.training.evaluation import TrainingEvaluator
from impasto.training.resolve import resolve
from tests.helpers.command_line import Say
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import small


def narrow(resolution: int, images: int, **settings: Any) -> RunConfig:
    """FastGAN's generator with a small discriminator."""
    discriminator = {"network": "lean", "narrowest": 4, "widest": 8}
    return small(
        "flagship_32",
        resolution=resolution,
        training__images=images,
        discriminator=discriminator,
        objective=[{"term": "hinge"}],
        **settings,
    )


def growing(**settings: Any) -> RunConfig:
    """A run of 16 and 32 pixels."""
    first = narrow(16, 32)
    return change(
        narrow(32, 48, training__keep_newest=9),
        {"first_stage": first.model_dump(mode="json"), **settings},
    )


def _same_layers(model: Model, other: Model) -> bool:
    """Whether the convolutions that both have are equal."""
    mine, theirs = model.generator.state_dict(), other.generator.state_dict()
    shared = [
        n for n, v in mine.items() if v.ndim > 1 and n in theirs and theirs[n].shape == v.shape
    ]
    assert shared
    return all(torch.equal(mine[name], theirs[name]) for name in shared)


def test_the_second_starts_from_the_first(tiny: Collection, tmp_path: Path) -> None:
    run = train(growing(), tiny, out=tmp_path, device="cpu")
    stage = run / "stage-1"
    begun = Model.load(checkpoint_folders(run)[0])
    first = Model.load(stage)
    assert begun.record.images_seen == 0
    assert _same_layers(begun, first)
    assert times(begun.record.resolution, first.record.resolution) == 2


def test_the_second_starts_from_the_best_of_one_that_ended_early(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(self: TrainingEvaluator, run: Path, state: Any, record: Any, rows: Any) -> Any:
        kid = 0.1 if (run.name, record.images_seen) == ("stage-1", 8) else 0.2
        return {"evaluation/seconds": 0.0, SMOOTHED_KID: kid}

    monkeypatch.setattr(TrainingEvaluator, "evaluate", evaluate)
    waits = {"first_stage.evaluation.every": 8, "first_stage.evaluation.patience": 16}
    run = train(growing(**waits), tiny, out=tmp_path, device="cpu")
    assert checkpoint_folders(run / "stage-1")[-1].name == "000000000024"
    begun, best = (Model.load(path) for path in (checkpoint_folders(run)[0], run / "stage-1/best"))
    assert best.record.images_seen == 8
    assert _same_layers(begun, best)
    assert not _same_layers(begun, Model.load(run / "stage-1"))


@pytest.mark.parametrize("steps", [2, 7])
def test_stopped_in_either_stage_it_ends_as_one_that_was_not(
    steps: int, tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(growing(), tiny, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(StoppedByTest):
            train(growing(), tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert fingerprint(died / "stage-1") == fingerprint(whole / "stage-1")


def test_three_stages(labelled: Collection, tmp_path: Path, told: None, capsys: Any) -> None:
    def r3gan(resolution: int, **settings: Any) -> RunConfig:
        """Which goes down to 8 pixels."""
        return small("r3gan_32", resolution=resolution, training__images=16, **settings)

    two = change(r3gan(16), {"first_stage": r3gan(8).model_dump(mode="json")})
    config = change(r3gan(32, labels=["style"]), {"first_stage": two.model_dump(mode="json")})
    assert [each.resolution for each in config.stages] == [8, 16, 32]
    resolved = resolve(config, labelled)
    assert resolved.grows
    run = train(config, labelled, out=tmp_path, device="cpu")
    record = json.loads((run / "stage-1" / "stage-1" / "run.json").read_text())
    assert record["config"]["resolution"] == 8
    out = capsys.readouterr().out
    for number in (1, 2, 3):
        assert f"stage {number} of 3: " in out


def test_the_first_stage_starts_from_a_model(tiny: Collection, tmp_path: Path) -> None:
    model = train(narrow(16, 32), tiny, out=tmp_path / "model", device="cpu")
    config = growing(**{"first_stage.training.keep_newest": 9})
    run = train(config, tiny, out=tmp_path, device="cpu", start_from=model)
    begun = Model.load(checkpoint_folders(run / "stage-1")[0])
    assert begun.record.images_seen == 0
    weights, theirs = (each.generator.state_dict() for each in (begun, Model.load(model)))
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(weights[name], theirs[name]) for name in theirs)
    record = json.loads((run / "run.json").read_text())
    assert record["started_from"]["resolution"] == 16
    stage = json.loads((run / "stage-1" / "run.json").read_text())
    assert stage["started_from"] == record["started_from"]
    for folder, begins in ((run, "The first stage started"), (run / "stage-1", "Started")):
        (_, facts) = about(read_record(folder))
        assert facts[-1].startswith(f"{begins} from {model.name} (flagship_32, 32 images seen): ")
    # With nothing new in its generator, the average of the first stage has no ramp-up.
    training = record["config"]["first_stage"]["training"]
    assert (training["ema_rampup"], record["config"]["training"]["ema_rampup"]) == (None, 0.05)


def test_killed_before_its_first_step_it_still_starts_from_the_model(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(narrow(16, 32), tiny, out=tmp_path / "model", device="cpu")
    whole = train(growing(), tiny, out=tmp_path / "whole", device="cpu", start_from=model)
    with monkeypatch.context() as patch:
        stop_after(patch, 0)
        with pytest.raises(StoppedByTest):
            train(growing(), tiny, out=tmp_path / "died", device="cpu", start_from=model)
    (died,) = (tmp_path / "died").iterdir()
    shutil.rmtree(model)
    resume(died)
    assert fingerprint(died) == fingerprint(whole)


def test_without_the_weights_that_it_started_from_it_does_not_go_on(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(narrow(16, 32), tiny, out=tmp_path / "model", device="cpu")
    stop_after(monkeypatch, 0)
    with pytest.raises(StoppedByTest):
        train(growing(), tiny, run=tmp_path / "run", device="cpu", start_from=model)
    shutil.rmtree(tmp_path / "run" / "stage-1" / "checkpoints")
    with pytest.raises(ImpastoError, match="lost the checkpoint"):
        resume(tmp_path / "run")


def test_an_estimate_begins_its_first_stage_from_a_model(tiny: Collection, tmp_path: Path) -> None:
    model = train(narrow(16, 32), tiny, out=tmp_path, device="cpu")
    found = estimate(growing(), tiny, "cpu", start_from=model)
    first, last = found.stages
    assert first.transfer is not None
    assert last.transfer is None


def test_a_dry_run_says_what_its_first_stage_takes_from_a_model(
    tiny: Collection, tmp_path: Path, say: Say
) -> None:
    model = train(narrow(16, 32), tiny, run=tmp_path / "model", device="cpu")
    (tmp_path / "config.yaml").write_text(to_yaml(growing()))
    command = ("train", "--config", str(tmp_path / "config.yaml"), "--data", str(tiny.path))
    code, out, err = say(*command, "--from", str(model), "--dry-run", "--device", "cpu")
    assert code == 0, err
    first, last = out.split("stage at 16 pixels")[1].split("stage at 32 pixels")
    assert "from model (flagship_32, 16 pixels, 32 images seen): generator " in first
    assert "from model" not in last
