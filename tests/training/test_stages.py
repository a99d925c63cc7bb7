"""Runs in two stages: one command, one folder, and no second of either stage lost."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import NetworkConfig, RunConfig
from impasto.errors import ImpastoError, StoppedError
from impasto.reporting.record import read_record
from impasto.reporting.stages import same_latents
from impasto.sampling import Model, find_model
from impasto.sampling.model import export
from impasto.training import resume, train
from impasto.training.estimate import estimate
from impasto.training.resolve import resolve as resolved
from impasto.training.session import Session
from impasto.training.trainer import Trainer
from tests.helpers.command_line import Say
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, small

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
        with pytest.raises(StoppedByTest):
            train(config(), labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert fingerprint(died / "stage-1") == fingerprint(whole / "stage-1")


def test_stopping_in_stage_one_names_the_whole_run(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.step

    def step(self: Trainer) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)
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
    original, steps = Trainer.step, 0

    def step(self: Trainer) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    whole = train(config(), labelled, out=tmp_path / "whole", device="cpu")
    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(
        StoppedError, match="the first stage is finished; go on: impasto resume"
    ) as stopped:
        train(config(), labelled, out=tmp_path / "stopped", device="cpu")
    assert stopped.value.exit_code == 0  # of SIGTERM
    assert steps == 4
    (run,) = (tmp_path / "stopped").iterdir()
    resume(run)
    assert steps == 8
    assert fingerprint(run) == fingerprint(whole)


def test_stage_one_stays_as_it_is(labelled: Collection) -> None:
    ready = Session(resolved(config(), labelled), labelled, CPU)
    generator: Any = ready.state.generator
    stage, painter = state(generator.base), state(generator.paint)
    for _ in range(2):
        ready.trainer.step()
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
    wrong = config().model_copy(update={"generator": NetworkConfig(network="gangogh")})
    with pytest.raises(
        ImpastoError, match=r"generator 'gangogh' of 32 pixels can start from next to nothing"
    ):
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


def by_genre(**settings: Any) -> RunConfig:
    """Stage I by genre, stage II by style and genre: not in the order that the run has them."""
    fields: dict[str, Any] = {"labels": ["style", "genre"], "first_stage__labels": ["genre"]}
    fields |= {"training__discriminator_steps": 1, "first_stage__training__discriminator_steps": 1}
    return small("gangogh_genre_then_style", **{**fields, **SHORT, **settings})


@pytest.fixture(scope="module")
def genre_first(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(by_genre(), labelled, out=tmp_path_factory.mktemp("genre"), device="cpu")


def test_the_first_stage_learns_fields_of_its_own(
    genre_first: Path, labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = genre_first
    first, final = Model.load(find_model(run / "stage-1")), Model.load(find_model(run))
    assert [field.name for field in first.record.labels] == ["genre"]
    assert [field.name for field in final.record.labels] == ["style", "genre"]
    latents = torch.randn(3, final.record.latent.size)
    labels = torch.tensor([[0, 2], [2, -1], [-1, 1]])
    sketch, large = final.generator.stages(latents, labels)  # type: ignore[operator]
    # Stage I sees the column of genre, unknown ones too, and nothing of the style.
    assert torch.equal(sketch, first.generator(latents, labels[:, 1:]))
    assert not torch.allclose(sketch, first.generator(latents, labels[:, :1]), atol=1e-3)
    other = torch.tensor([[1, 2], [-1, -1], [0, 1]])
    same, changed = final.generator.stages(latents, other)  # type: ignore[operator]
    assert torch.equal(sketch, same)
    assert not torch.equal(large, changed)
    # What a stop leaves goes on to the same weights.
    with monkeypatch.context() as patch:
        stop_after(patch, 6)  # each stage takes four
        with pytest.raises(StoppedByTest):
            train(by_genre(), labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(run)
    # The report takes both grids for the same latents.
    assert same_latents(read_record(run / "stage-1"), read_record(run))
    # And the whole can be exported; another training says that it cannot start from it.
    export(run, tmp_path / "model")
    assert torch.equal(Model.load(tmp_path / "model").generator(latents, labels), large)
    again: dict[str, Any] = {"out": tmp_path, "device": "cpu", "start_from": tmp_path / "model"}
    with pytest.raises(ImpastoError, match="two stages, and these cannot start from a model"):
        train(by_genre(), labelled, **again)
    with pytest.raises(ImpastoError, match=r"is of the family 'stacked'.*leave out --from"):
        train(small("gangogh", **SINGLE), labelled, **again)
    # Its first stage is a model like any other: the classes it knows are kept.
    again["start_from"] = run / "stage-1"
    config = small("gangogh", resolution=16, **SINGLE)
    taken = json.loads((train(config, labelled, **again) / "run.json").read_text())
    assert taken["started_from"]["generator"]["new"] == []
    assert taken["started_from"]["classes"]["genre"]["new"] == []


SINGLE: dict[str, Any] = {"training__images": 16, "training__grid": 4}


def test_the_commands_know_both_kinds_of_fields(
    genre_first: Path, tmp_path: Path, say: Say
) -> None:
    run = genre_first
    for words in (
        ["sample", str(run), "--stages", "--class", "style=Rococo", "--class", "genre=marina"],
        ["sample", str(run), "--stages", "--every-class", "style", "--class", "genre=marina"],
        ["sample", str(run / "stage-1"), "--every-class", "genre"],
        ["sample", str(run), "--curate", "best", "--from", "4", "--per-class", "2"],
    ):
        code, _, err = say(*words, "--grid", str(tmp_path / "grid.png"))
        assert code == 0, err
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width >= 2 * 32
    assert say("classify", str(run))[0] == 0
    assert {path.name for path in run.glob("classify-*")} >= {"classify-genre.json"}
    code, _, err = say("sample", str(run / "stage-1"), "--class", "style=Rococo")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = say("report", str(run))
    assert code == 0, err
    assert "The same latents in both stages" in (run / "report.html").read_text()


def stage_labels(labels: list[str], **settings: Any) -> tuple[tuple[str, ...], str | None]:
    found = small("gangogh_128", labels=labels, **settings).first_stage
    assert found is not None
    return found.labels, found.training.balance


def test_whose_labels_the_first_stage_learns(labelled: Collection) -> None:
    # Those of the run, as long as nothing else is said.
    assert stage_labels(["style"])[0] == ("style",)
    assert stage_labels(["style", "genre"], first_stage__labels=["style"])[0] == ("style",)
    kept = small("gangogh_genre_then_style", labels=["genre", "style"])
    assert kept.first_stage is not None
    assert kept.first_stage.labels == ("genre",)
    # What it balances is among its own.
    settings: dict[str, Any] = {"labels": ["style", "genre"], "training__balance": "genre"}
    classless = [{"term": "wasserstein"}, {"term": "gradient_penalty", "weight": 10.0}]
    for own, balance in ((["style"], "style"), ([], None), (["genre", "style"], "genre")):
        asked = {**settings, "first_stage__labels": own}
        if not own:
            with pytest.raises(
                ImpastoError, match="in the first stage: term 'auxiliary_classifier'"
            ):
                resolved(small("gangogh_128", **asked), labelled)
            asked["first_stage__objective"] = classless
        found = resolved(small("gangogh_128", **asked), labelled)
        assert found.first_stage is not None
        assert (list(found.first_stage.labels), found.first_stage.training.balance) == (
            own,
            balance,
        )
        fields = {"style": [0], "": [], "genre,style": [1, 0]}[",".join(own)]
        assert list(found.generator.options["base_fields"]) == fields
        paint = Session(found, labelled, CPU).state.generator
        latents = torch.randn(2, found.latent.size)
        assert paint(latents, torch.tensor([[1, 2], [-1, 0]])).shape == (2, 3, 32, 32)
    same = resolved(small("gangogh_128", **settings), labelled)
    assert same.generator.options["base_fields"] is None


def test_a_first_stage_learns_no_fields_that_the_run_does_not(
    labelled: Collection, tmp_path: Path
) -> None:
    for labels, own, advice in (
        (["style"], ["genre"], "add --labels style,genre, or choose some of the run's with --set"),
        (["style"], ["genre", "style"], "labels are style: add --labels style,genre, or"),
        ([], ["genre"], "the run's labels are none: add --labels genre"),
    ):
        balance = {"training__balance": labels[0] if labels else None}
        wrong = small("gangogh_128", labels=labels, first_stage__labels=own, **balance)
        with pytest.raises(ImpastoError, match="the first stage learns genre, but") as error:
            train(wrong, labelled, out=tmp_path, device="cpu")
        assert advice in str(error.value)
    assert not list(tmp_path.iterdir())
