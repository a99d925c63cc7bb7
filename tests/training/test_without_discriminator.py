"""Training without a discriminator: what a run then is, shows and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import impasto
from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.diagnosis import BEGUN, EVENTS
from impasto.errors import ImpastoError
from impasto.plugins import use_plugin
from impasto.sampling.model import ModelRecord, checkpoint_folders, load_discriminator
from impasto.settings import change
from impasto.training import resume, run_folder, train
from impasto.training.data import TrainingPictures
from impasto.training.resolve import resolve
from tests.helpers.plugins import plugged
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import session, small

__all__ = ["plugged"]  # a fixture

TERMS = '''
from torch import Tensor
from impasto.objectives import StepInputs


def generator_loss(inputs: StepInputs) -> Tensor:
    """The squared distance of the mean generated picture from the mean real one."""
    return (inputs.fake.mean(0) - inputs.real.mean(0)).square().mean()
'''
ALONE: dict[str, Any] = {"discriminator": None, "discriminator_optimiser": None}


@pytest.fixture(autouse=True)
def means(plugged: None, tmp_path: Path) -> None:
    file = tmp_path / "means.py"
    file.write_text(TERMS, encoding="utf-8")
    use_plugin(file)


def alone(**settings: Any) -> RunConfig:
    """DCGAN's generator, drawn to the mean of the real pictures."""
    config = change(small(), {**ALONE, "objective": [{"term": "means"}]})
    return change(config, {name.replace("__", "."): value for name, value in settings.items()})


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_that_died_ends_as_one_that_did_not(
    accumulate: int, tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = alone(training__accumulate=accumulate)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    newest = checkpoint_folders(whole)[-1]
    assert not (newest / "discriminator.safetensors").exists()
    record = ModelRecord.model_validate_json((newest / "model.json").read_text())
    assert (record.discriminator, record.images_seen) == (None, 64)
    with pytest.raises(ImpastoError, match="trained without a discriminator"):
        load_discriminator(newest)


def test_every_generator_step_has_a_batch_of_its_own(
    tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = session(alone(training__generator_steps=3), tiny).trainer
    shown: list[int] = []
    original = TrainingPictures.shown

    def watched(self: TrainingPictures, start: int, *rest: Any) -> Any:
        shown.append(start)
        return original(self, start, *rest)

    monkeypatch.setattr(TrainingPictures, "shown", watched)
    found = trainer.step()
    assert shown == [0, 8, 16]
    assert trainer.state.images_seen == 24
    assert set(found) == {"loss/generator", "term/means/generator"}
    trainer.step()
    assert shown == [0, 8, 16, 24, 32, 40]


def test_the_step_is_one_of_the_optimiser(tiny: Collection) -> None:
    """The same step by hand: the same pictures and latents, the term's gradient, Adam."""
    config = alone(training__precision="float32")
    ready, by_hand = session(config, tiny), session(config, tiny).state.generator
    images = ready.trainer._pictures(0, 0)[0]
    ready.trainer._seed(0, 0)
    latents = ready.trainer._latents()
    optimiser = torch.optim.Adam(by_hand.parameters(), 5e-4, betas=(0.5, 0.999))
    fake = by_hand(latents, torch.zeros(8, 0, dtype=torch.int64))
    loss = (fake.mean(0) - images.mean(0)).square().mean()
    loss.backward()
    optimiser.step()
    assert ready.trainer.step()["loss/generator"].item() == pytest.approx(loss.item(), rel=1e-5)
    trained = ready.state.generator.parameters()
    for mine, theirs in zip(trained, by_hand.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_rows_report_and_comparison_show_what_there_is(tiny: Collection, tmp_path: Path) -> None:
    run = train(alone(), tiny, out=tmp_path, device="cpu")
    rows = run_folder.Stats(run).rows()
    recorded = {name for row in rows for name in row}
    assert "loss/generator" in recorded
    assert not [n for n in recorded if n.startswith(("score/", "accuracy/"))]
    assert not [n for n in recorded if "discriminator" in n]
    about = json.loads((run / "run.json").read_text())
    assert set(about["parameters"]) == {"generator"}
    page = impasto.report(run).read_text()
    for heading in ("The discriminator over time", "Scores", "By heart", "Real or generated"):
        assert f">{heading}<" not in page
    assert ">Losses<" in page
    assert "two networks" not in page


def test_a_loss_that_is_no_number_ends_the_run(tiny: Collection, tmp_path: Path) -> None:
    config = alone(generator_optimiser__learning_rate=1e38, doctor__rollbacks=0)
    with pytest.raises(ImpastoError, match="no longer"):
        train(config, tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.glob("*-*")
    events = [event for row in run_folder.Stats(run).rows() for event in row.get(EVENTS, ())]
    assert events
    assert all(event["event"] != BEGUN for event in events)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discriminator": None}, "set discriminator_optimiser to null too"),
        ({"discriminator_optimiser": None}, "but there is a discriminator"),
        (
            {**ALONE, "training.pretrain_images": 8},
            "training.pretrain_images is about a discriminator",
        ),
        ({**ALONE, "training.augment": {"kinds": "colour"}}, "training.augment is about"),
    ],
)
def test_what_does_not_fit_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        change(small(), settings)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([{"term": "bce"}], "term 'bce' needs a discriminator"),
        ([{"term": "means"}, {"term": "r1"}], "term 'r1' needs a discriminator"),
        ([{"term": "means"}, {"term": "autoencoder"}], "uses the discriminator's output"),
    ],
)
def test_terms_that_need_a_discriminator(
    terms: list[dict[str, str]], message: str, tiny: Collection
) -> None:
    with pytest.raises(ImpastoError, match=message):
        session(change(small(), {**ALONE, "objective": terms}), tiny)


def test_starting_from_a_model_takes_its_generator(tiny: Collection, tmp_path: Path) -> None:
    first = train(small(), tiny, out=tmp_path / "gan", device="cpu")
    run = train(alone(), tiny, out=tmp_path / "alone", device="cpu", start_from=first)
    taken = json.loads((run / "run.json").read_text())["started_from"]
    assert taken["discriminator"] is None
    back = train(small(), tiny, out=tmp_path / "back", device="cpu", start_from=run)
    assert json.loads((back / "run.json").read_text())["started_from"]["discriminator"] is None


def test_a_network_may_say_how_many_latent_values_it_needs(tiny: Collection) -> None:
    flow = {**ALONE, "generator": {"network": "flow"}, "objective": [{"term": "means"}]}
    config = change(small(), {**flow, "latent": {"distribution": "normal"}})
    assert config.latent.dim is None
    assert resolve(config, tiny).latent.dim == 3 * 32 * 32
    with pytest.raises(ImpastoError, match=r"network 'dcgan' takes any number: set it"):
        resolve(alone(latent__dim=None), tiny)
