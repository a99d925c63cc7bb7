"""Runs in two stages: one command, one folder, and no second of either stage lost."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import NetworkConfig, RunConfig
from impasto.errors import ImpastoError, StoppedError
from impasto.sampling import Model, find_model
from impasto.training import resume, train
from impasto.training.checkpoint import seed_step
from impasto.training.estimate import estimate
from impasto.training.loop import Session
from impasto.training.players import Game
from impasto.training.resolve import resolve as resolved
from tests.test_resume import _DiedError, stop_after
from tests.test_training import CPU, small

SHORT: dict[str, Any] = {
    "training__images": 32,
    "training__samples_every": 16,
    "first_stage__training__images": 32,
    "first_stage__training__samples_every": 16,
}


def config() -> RunConfig:
    return small("gantor_v2", **SHORT)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_both_stages_are_trained_in_order(labelled: Collection, tmp_path: Path) -> None:
    run = train(config(), labelled, out=tmp_path, device="cpu")
    stage = Model.load(find_model(run / "stage-1"))
    final = Model.load(find_model(run))
    assert (stage.record.resolution, final.record.resolution) == (16, 32)
    assert stage.record.labels == final.record.labels
    # Stage II begins where stage I ended, and leaves it as it is: averaged weights and all.
    base: Any = final.generator.base
    for name, value in stage.generator.state_dict().items():
        assert torch.equal(value, base.state_dict()[name]), name
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["generator"]["base"]["network"] == "artgan_autoencoder"
    assert record["config"]["first_stage"]["resolution"] == 16
    for folder in (run, run / "stage-1"):
        names = {path.name for path in (folder / "samples").iterdir()}
        assert {"fakes-000000000032.png", "classes-genre-000000000032.png"} <= names


@pytest.mark.parametrize("steps", [0, 2, 4, 6])
def test_a_run_that_died_in_either_stage_goes_on(
    steps: int, labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(config(), labelled, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)  # each stage takes four
        with pytest.raises(_DiedError):
            train(config(), labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert fingerprint(died / "stage-1") == fingerprint(whole / "stage-1")


def test_stopping_in_stage_one_names_the_whole_run(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Game.step

    def step(self: Game) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    monkeypatch.setattr(Game, "step", step)
    with pytest.raises(StoppedError) as stopped:
        train(config(), labelled, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    assert str(stopped.value).endswith(f"go on: impasto resume {run}")
    with pytest.raises(ImpastoError, match="stage-1"):
        find_model(run)
    assert find_model(run / "stage-1").parent == run / "stage-1" / "checkpoints"


def test_a_request_to_stop_in_the_last_step_of_stage_one_is_heard(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, steps = Game.step, 0

    def step(self: Game) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    whole = train(config(), labelled, out=tmp_path / "whole", device="cpu")
    monkeypatch.setattr(Game, "step", step)
    with pytest.raises(StoppedError, match="the first stage is finished; go on: impasto resume"):
        train(config(), labelled, out=tmp_path / "stopped", device="cpu")
    assert steps == 4
    (run,) = (tmp_path / "stopped").iterdir()
    resume(run)
    assert steps == 8
    assert fingerprint(run) == fingerprint(whole)


def test_stage_one_stays_as_it_is(labelled: Collection) -> None:
    ready = Session(resolved(config(), labelled), labelled, CPU)
    generator: Any = ready.players.generator
    stage, painter = state(generator.base), state(generator.paint)
    for step in range(2):
        seed_step(0, step)
        ready.game.step()
    for name, value in generator.base.state_dict().items():
        assert torch.equal(stage[name], value), name
    assert all(parameter.grad is None for parameter in generator.base.parameters())
    changed = [not torch.equal(painter[n], v) for n, v in generator.paint.state_dict().items()]
    assert any(changed)


def test_both_stages_share_labels_latent_and_seed(labelled: Collection) -> None:
    settings: dict[str, Any] = {"labels": ["style", "genre"], "latent__dim": 7, "training__seed": 5}
    found = resolved(small("gangogh_128", **settings), labelled)
    assert found.first_stage is not None
    for stage in (found, found.first_stage):
        assert stage.labels == ("style", "genre")
        assert stage.latent.dim == 7
        assert stage.training.seed == 5


def test_the_estimate_counts_both_stages(labelled: Collection) -> None:
    found = estimate(config(), labelled, "cpu", steps=1)
    assert found.first_stage is not None
    assert found.first_stage.config.resolution == 16
    assert found.first_stage.generator_parameters != found.generator_parameters


def test_a_first_stage_needs_a_network_stacked_on_it(labelled: Collection) -> None:
    wrong = config().model_copy(update={"generator": NetworkConfig(network="dcgan")})
    with pytest.raises(ImpastoError, match=r"network 'dcgan' cannot begin with a first stage"):
        resolved(wrong, labelled)
    alone = config().model_copy(update={"first_stage": None})
    with pytest.raises(ImpastoError, match="first_stage"):
        resolved(alone, labelled)


def test_a_first_stage_is_smaller(labelled: Collection) -> None:
    wrong = small("gantor_v2", first_stage__resolution=64)  # of 32 pixels in all
    with pytest.raises(ImpastoError, match=r"--set first_stage.resolution=16$"):
        resolved(wrong, labelled)


def test_a_first_stage_sees_the_same_pictures_smaller(labelled: Collection) -> None:
    found = resolved(config(), labelled)
    assert found.first_stage is not None
    large, labels = Session(found, labelled, CPU).pictures.shown(0, 5)
    small_ones, same = Session(found.first_stage, labelled, CPU).pictures.shown(0, 5)
    assert torch.equal(labels, same)
    assert small_ones.shape == (5, 3, 16, 16)
    assert torch.allclose(small_ones[0, 1, 2, 3], large[0, 1, 4:6, 6:8].mean(), atol=1e-6)
