"""How a discriminator is asked outside its training: each picture by itself, by the statistics of its
kind, under the noise of training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.config import LatentConfig
from impasto.curation.choosing import Group, Scorer
from impasto.curation.classification import classify, judging_notes
from impasto.evaluation import discriminator as asked
from impasto.evaluation.discriminator import (
    MEASURED,
    Statistics,
    depends_on_batch,
    deviations_of,
    judging_by,
    measure,
    noisy,
    norms_of,
    real_pictures,
    statistics_of_real,
)
from impasto.networks import Judgement, build_discriminator
from impasto.registry import load_recipe, recipe_modules
from impasto.sampling import find_model
from impasto.sampling.model import MODEL_FILE, ModelRecord, load_discriminator
from impasto.sampling.painter import Painter
from impasto.sampling.sampler import Sampler
from impasto.training import train
from impasto.training.heldout_probe import probe_heldout
from impasto.training.run_folder import Stats
from tests.helpers.command_line import Say
from tests.helpers.echo import Echo
from tests.helpers.records import record_of
from tests.helpers.training import session, small

WITH_BATCH_NORM = {"artgan", "artgan_autoencoder", "dcgan", "fastgan", "projected"}
WITHOUT = {"gangogh", "lean", "r3gan"}


def answers(network: nn.Module, statistics: Statistics, images: Tensor, fields: int) -> Tensor:
    with judging_by(network, statistics), torch.no_grad():
        said: Judgement = network(images, torch.full((len(images), fields), -1))
    parts = [said.realness.flatten(1), *(said.class_logits or ())]
    return torch.cat(parts, dim=1)


WITH_DISCRIMINATOR = [name for name in recipe_modules() if load_recipe(name)().discriminator]
"""Recipes with a discriminator."""


@pytest.mark.parametrize("recipe", WITH_DISCRIMINATOR)
def test_an_answer_depends_on_no_batch(recipe: str, labelled: Collection) -> None:
    config = small(recipe)
    assert config.discriminator is not None
    network = build_discriminator(
        config.discriminator.network,
        config.discriminator.options,
        resolution=config.resolution,
        label_sizes=(3,) * len(config.labels),
    )
    fields, side = len(config.labels), config.resolution
    # What is normalised is trained: a frozen network's own norms are not to be touched.
    assert all(norm.weight.requires_grad for norm in norms_of(network).values())
    family = config.discriminator.network
    assert bool(norms_of(network)) or family not in WITH_BATCH_NORM
    assert not norms_of(network) or family not in WITHOUT
    assert network.training
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    statistics = statistics_of_real(network, labelled, side, fields, noise=0.5)
    images = real_pictures(labelled, labelled.heldout_indices, side, noise=0.5)
    together = answers(network, statistics, images, fields)
    for number in range(len(images)):
        alone = answers(network, statistics, images[number : number + 1], fields)
        torch.testing.assert_close(alone[0], together[number], atol=1e-4, rtol=1e-3)
    # Everything is as it was: weights, running statistics, mode, random state.
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(before[name], value), name
    assert torch.initial_seed() == 5
    expected = torch.Generator().manual_seed(5)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))
    assert all(norm.training and norm.track_running_stats for norm in norms_of(network).values())
    assert all(each.measured is None for each in deviations_of(network).values())
    # And where there is anything to measure, it makes a difference.
    as_ever = answers(network, Statistics(), images, fields)
    assert depends_on_batch(network) == (not torch.allclose(as_ever, together, atol=1e-5))
    assert set(statistics.norms) <= set(norms_of(network))
    assert set(statistics.deviations) == set(deviations_of(network))


class Normed(nn.Module):
    """Batch norm of the red mean, then of that times itself: the second depends on the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(1, affine=False)
        self.second = nn.BatchNorm1d(1, affine=False)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        first = self.first(images[:, 0].mean((1, 2))[:, None])
        return Judgement(self.second(first * first))


def test_statistics_by_hand() -> None:
    values = torch.tensor([0.0, 1.0, 5.0, -1.0, 0.5, 0.25, 7.0])
    images = values[:, None, None, None].expand(-1, 3, 2, 2)
    network = Normed()
    # One batch: by its statistics each answers as in training. (Torch's variance of the batch, too.)
    whole = measure(network, [images], 0)
    with torch.no_grad():
        as_trained = network(images, torch.zeros(7, 0)).realness
    torch.testing.assert_close(answers(network, whole, images, 0), as_trained)
    # Two unequal batches: mean and variance of all values that came to the layer.
    network = Normed()
    parts = measure(network, [images[:5], images[5:]], 0)
    mean, variance = parts.norms["first"]
    assert mean.item() == pytest.approx(values.mean().item())
    assert variance.item() == pytest.approx(values.var(correction=0).item())
    # Each batch normalised by its own, as in training.
    batches = values[:5], values[5:]
    second = torch.cat(
        [(some - some.mean()).square() / (some.var(correction=0) + 1e-5) for some in batches]
    )
    mean, variance = parts.norms["second"]
    assert mean.item() == pytest.approx(second.mean().item())
    assert variance.item() == pytest.approx(second.var(correction=0).item())
    assert network.first.num_batches_tracked == 0


def test_noise_goes_by_the_picture() -> None:
    images = torch.zeros(4, 3, 8, 8)
    whole = noisy(images, 2.0, [3, 900, 4, 5])
    assert torch.equal(noisy(images[1:2], 2.0, [900])[0], whole[1])
    assert not torch.equal(whole[0], whole[2])
    assert whole.std().item() == pytest.approx(2, abs=0.2)
    assert noisy(images, 0.0, [1, 2, 3, 4]) is images


def test_statistics_are_of_training_pictures_in_fixed_batches(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[np.ndarray] = []
    original = Collection.images

    def images(self: Collection, rows: np.ndarray) -> np.ndarray:
        asked_for.append(rows)
        return original(self, rows)

    monkeypatch.setattr(Collection, "images", images)
    monkeypatch.setattr(asked, "BATCH", 4)
    monkeypatch.setattr(asked, "MEASURED", 10)
    statistics_of_real(Normed(), labelled, 32, 2)
    assert [len(rows) for rows in asked_for] == [4, 3, 3]
    rows = np.concatenate(asked_for)
    assert set(rows.tolist()) <= set(labelled.train_indices.tolist())
    assert rows[0] == labelled.train_indices[0]
    assert rows[-1] == labelled.train_indices[-1]
    asked_for.clear()
    statistics_of_real(nn.Identity(), labelled, 32, 2)
    assert not asked_for  # nothing to measure, so nothing is read


def test_without_training_pictures_it_is_said(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of({"style": ("a", "b")}, [(0,)], [1])
    (told,) = judging_notes(Bright(), record, labelled)
    assert told == "batch norm by the statistics of 27 training pictures of labelled"
    assert judging_notes(nn.Identity(), record, labelled) == []
    monkeypatch.setattr(labelled, "train_indices", np.array([], np.int64))
    assert statistics_of_real(Bright(), labelled, 32, 1) == Statistics()
    (told,) = judging_notes(Bright(), record, labelled)
    assert told.startswith("note: batch norm by the running statistics of training, which mix real")


class Rough(nn.Module):
    """Takes a picture for as real as its neighbours differ, as one does that learned under noise."""

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        return Judgement((images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))[:, None])


def test_by_heart_is_asked_under_the_noise_of_training(labelled: Collection) -> None:
    ready = session(small("artgan_tricks"), labelled)
    torch.manual_seed(0)
    fakes = (torch.randn(8, 3, 32, 32), torch.zeros(8, 1, dtype=torch.int64))

    def ask(**noise: float) -> dict[str, float]:
        return probe_heldout(Rough(), ready.objective, ready.pictures, ("style",), fakes, **noise)

    assert "overfitting" not in ask()
    found = ask(real_noise=2.0)
    assert found["score/shown"] > found["score/sampled"]
    assert found["overfitting"] == pytest.approx(0, abs=0.1)
    assert ask(real_noise=2.0, fake_noise=2.0)["score/sampled"] > found["score/sampled"]


@pytest.fixture(scope="module")
def tricks(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small("artgan_tricks", training__images=96, labels=["style", "genre"])
    return train(config, labelled, out=tmp_path_factory.mktemp("tricks"), device="cpu")


def test_training_and_classify_agree(tricks: Path, labelled: Collection) -> None:
    row = Stats(tricks).rows()[-1]
    folder = find_model(tricks)
    record = ModelRecord.model_validate_json((folder / MODEL_FILE).read_text())
    assert (record.real_noise, record.fake_noise) == (2.0, 0.0)
    for batch in (2, 64):
        for each in classify(load_discriminator(folder), record, labelled, batch=batch):
            expected = each.accuracy_of_pictures
            assert row[f"accuracy/{each.field}/heldout"] == pytest.approx(expected)
    assert isinstance(row["score/heldout"], float)


def test_models_from_before_take_the_noise_from_their_run(
    tricks: Path, labelled: Collection, tmp_path: Path, say: Say
) -> None:
    assert say("classify", str(tricks), "--out", str(tmp_path / "now"))[0] == 0
    path = find_model(tricks) / MODEL_FILE
    now = path.read_text()
    record = json.loads(now)
    del record["real_noise"], record["fake_noise"]
    path.write_text(json.dumps(record))
    try:
        code, out, err = say("classify", str(tricks), "--out", str(tmp_path / "old"))
        assert code == 0, err
        assert "under noise of standard deviation 2, as in training" in out
        model = tmp_path / "model"
        assert say("export", str(tricks), str(model), "--discriminator")[0] == 0
    finally:
        path.write_text(now)
    for field in ("style", "genre"):
        numbers = [
            json.loads((tmp_path / each / f"classify-{field}.json").read_text())
            for each in ("now", "old")
        ]
        assert numbers[0] == numbers[1]
    # By itself it does not know: pictures are shown as they are, and nothing is claimed.
    code, out, err = say("classify", str(model), "--data", str(labelled.path))
    assert code == 0, err
    assert "batch norm by the statistics of 27 training pictures of labelled" in out
    assert "noise" not in out


class Bright(nn.Module):
    """Batch norm of the mean: how much brighter a picture is than others of its kind."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        return Judgement(self.norm(images.mean((1, 2, 3))[:, None]))


def test_candidates_are_judged_by_the_statistics_of_generated_pictures() -> None:
    record = record_of({}, [()], [1])

    def scores(seeds: range, **settings: Any) -> np.ndarray:
        sampler = Sampler(Echo(), LatentConfig(dim=4))
        scorer = Scorer(Painter(sampler, record, **settings), Bright())
        found = scorer.scores(Group("", "", {}), seeds, lambda judged: None).realness
        assert found is not None
        return found

    many = scores(range(40))
    painter = Painter(Sampler(Echo(), LatentConfig(dim=4)), record)
    means = painter.latents(range(MEASURED)).mean(1) / 4
    by_hand = (means - means.mean()) / (means.var(correction=0) + 1e-5).sqrt()
    assert many == pytest.approx(by_hand[:40].numpy(), abs=1e-4)
    # No other candidate, batch or truncation changes what a picture is measured by.
    assert scores(range(7, 9), batch=1) == pytest.approx(many[7:9], abs=1e-5)
    truncated = painter.sampler, record, 0.5
    means_truncated = Painter(*truncated).latents(range(5)).mean(1) / 4
    expected = (means_truncated - means.mean()) / (means.var(correction=0) + 1e-5).sqrt()
    assert scores(range(5), truncation=0.5) == pytest.approx(expected.numpy(), abs=1e-4)
    noisier = record_of({}, [()], [1]).model_copy(update={"fake_noise": 3.0})
    scorer = Scorer(Painter(painter.sampler, noisier), Bright())
    found = scorer.scores(Group("", "", {}), range(5), lambda judged: None).realness
    assert found is not None
    assert not np.allclose(found, many[:5], atol=1e-3)
