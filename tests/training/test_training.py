"""The loop, its steps and its folder. What survives a kill is in test_resume.py."""

import itertools
import json
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.asking import HELD_SECONDS, HOLD, hold
from impasto.collection import Collection
from impasto.device import memory_format
from impasto.errors import ImpastoError, StoppedError
from impasto.formatting import readable_time
from impasto.progress import ProgressLine
from impasto.registry import load_recipe, recipe_modules
from impasto.sampling import Model, Sampler, find_model
from impasto.sampling.model import checkpoint_folders
from impasto.settings import change
from impasto.time_left import seconds_left
from impasto.training import resume, run_folder, train
from impasto.training.checkpoint import StateRecord, go_back, prune
from impasto.training.order import EpochOrder
from impasto.training.portions import seed_portion
from impasto.training.records import TensorBoard, diversity
from impasto.training.resolve import resolve
from impasto.training.run_folder import Stats, create
from impasto.training.session import Session
from impasto.training.step_statistics import StepStatistics
from impasto.training.trainer import Trainer
from tests.helpers.training import CPU, WGAN_GP, Brightness, Flat, session, small

PLAYERS = ("discriminator", "generator")


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


@pytest.mark.parametrize("recipe", recipe_modules())
def test_every_recipe_takes_two_steps(recipe: str, labelled: Collection) -> None:
    config = small(recipe, training__batch=4, training__pretrain_images=0)
    ready = session(config, labelled)
    state = ready.state
    networks = [state.generator, state.average]
    expected = {"loss/generator"}
    if config.discriminator is not None:
        networks.append(state.discriminator)
        expected |= {"loss/discriminator", "score/real", "score/fake"}
    before = [weights(network) for network in networks]
    for _ in range(2):
        statistics = ready.trainer.step()
    for old, network in zip(before, networks, strict=True):
        assert not torch.equal(old, weights(network))
    assert expected <= set(statistics)
    finite = [v for name, v in statistics.items() if not name.startswith("accuracy/")]
    assert all(torch.isfinite(value) for value in finite)
    assert state.images_seen == 2 * config.images_a_step
    assert state.steps == 2


@pytest.mark.parametrize("recipe", recipe_modules())
def test_every_recipe_names_its_source_and_command(recipe: str) -> None:
    text = load_recipe(recipe).__doc__ or ""
    assert load_recipe(recipe)().recipe == recipe
    assert not re.search(r"[A-Z0-9]+_(RATE|MEMORY)", text), "a figure is still to be filled in"
    for word in ("Source:", "Command:", "Cost:", f"impasto train {recipe}"):
        assert word in " ".join(text.split())


def test_the_authors_settings() -> None:
    def facts(name: str) -> tuple[Any, ...]:
        c = load_recipe(name)()
        term = c.objective[0]
        optimiser = c.generator_optimiser
        assert optimiser == c.discriminator_optimiser
        assert (c.training.batch, c.resolution, term.term) == (128, 64, "bce")
        return (
            c.latent.dim,
            optimiser.learning_rate,
            optimiser.betas,
            c.training.epochs,
            term.options,
            c.generator.options,
        )

    smooth = {"real_labels": [0.7, 1.0], "fake_labels": [0.0, 0.3]}
    betas = (0.5, 0.999)
    assert facts("wikiart_dcgan") == (128, 0.001, betas, 20, {}, {})
    assert facts("ukiyoe_dcgan_v1") == (100, 5e-4, betas, 300, {}, {})
    leaky = {"activation": "leaky_relu"}
    assert facts("ukiyoe_dcgan_v2") == (100, 5e-4, betas, 100, smooth, leaky)
    assert facts("ukiyoe_dcgan_v3") == (100, 5e-4, betas, 400, smooth, {})


def test_a_wasserstein_critic_takes_several_steps(tiny: Collection) -> None:
    ready = session(small(training__discriminator_steps=5, **WGAN_GP), tiny)
    for _ in range(2):
        statistics = ready.trainer.step()
    assert ready.state.images_seen == 2 * 5 * 8
    assert ready.objective.score_meaning == "critic"
    assert statistics["term/gradient_penalty/discriminator"] > 0
    assert statistics["loss/discriminator"].item() == pytest.approx(
        statistics["term/wasserstein/discriminator"].item()
        + statistics["term/gradient_penalty/discriminator"].item(),
        rel=1e-5,
    )
    assert "term/gradient_penalty/generator" not in statistics


def test_pretraining_leaves_the_generator_alone(tiny: Collection) -> None:
    ready = session(small(training__pretrain_images=16), tiny)
    old = weights(ready.state.generator)
    critic = weights(ready.state.discriminator)
    for _ in range(2):
        assert "loss/generator" not in ready.trainer.step()
    assert torch.equal(old, weights(ready.state.generator))
    assert not torch.equal(critic, weights(ready.state.discriminator))
    assert "loss/generator" in ready.trainer.step()
    assert not torch.equal(old, weights(ready.state.generator))


def test_the_generators_turn_leaves_no_gradient_in_the_discriminator(tiny: Collection) -> None:
    whole, half = session(small(), tiny), session(small(), tiny)
    whole.trainer.step()
    half.trainer._discriminator_update(StepStatistics(), 0)
    for one, other in zip(
        whole.state.discriminator.parameters(),
        half.state.discriminator.parameters(),
        strict=True,
    ):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
        assert one.requires_grad


def test_frozen_parts_of_a_discriminator_stay_frozen(tiny: Collection) -> None:
    config = resolve(small(), tiny)
    ready = Session(config, tiny, CPU)
    first = next(ready.state.discriminator.parameters())
    first.requires_grad_(False)
    Trainer(config, ready.objective, ready.pictures, ready.state).step()
    assert not first.requires_grad
    assert all(p.requires_grad for p in list(ready.state.discriminator.parameters())[1:])


def test_accumulated_portions_add_up_to_the_batch(tiny: Collection) -> None:
    found = []
    for accumulate in (1, 4):
        config = resolve(small(training__accumulate=accumulate), tiny)
        ready = Session(config, tiny, CPU)
        state = ready.state
        state.discriminator, state.generator = Brightness(), Flat()
        state.average = Flat()
        state.discriminator_optimiser = torch.optim.SGD(state.discriminator.parameters(), 0.1)
        state.generator_optimiser = torch.optim.SGD(state.generator.parameters(), 0.1)
        statistics = Trainer(config, ready.objective, ready.pictures, state).step()
        found.append((state.discriminator.weight, state.generator.colour, statistics))
    (weight, colour, whole), (weight_in_parts, colour_in_parts, parts) = found
    assert weight.grad is not None
    assert weight_in_parts.grad is not None
    assert torch.allclose(weight, weight_in_parts, atol=1e-7)
    assert torch.allclose(weight.grad, weight_in_parts.grad, atol=1e-7)
    assert torch.allclose(colour, colour_in_parts, atol=1e-7)
    assert colour.abs().sum() > 0
    for name, value in whole.items():
        assert value.item() == pytest.approx(parts[name].item(), rel=1e-5), name


def test_what_a_step_tells(tiny: Collection) -> None:
    told = session(small(), tiny).trainer.step()
    both = [f"{name}/{player}" for name in ("loss", "term/bce") for player in PLAYERS]
    judged = [f"{name}/{kind}" for name in ("score", "accuracy") for kind in ("real", "fake")]
    assert sorted(told) == sorted([*both, *judged])
    for player in PLAYERS:
        assert told[f"loss/{player}"] == told[f"term/bce/{player}"]


@pytest.mark.parametrize("portions", [1, 2, 3])
def test_statistics_are_means_over_portions(portions: int) -> None:
    statistics = StepStatistics()
    for portion in range(portions):
        value = torch.tensor(float(portion**2))
        statistics.add({"loss/generator": (value, torch.tensor(1.0))})
    assert statistics.means()["loss/generator"].item() == pytest.approx(
        [0, 0.5, 5 / 3][portions - 1]
    )


def test_both_players_see_every_portion(tiny: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = session(small(training__accumulate=4), tiny)
    seen: dict[str, list[float]] = {"discriminator": [], "generator": []}
    loss = ready.objective.loss

    def watched(player: str, round: Any, **moment: Any) -> Any:
        seen[player].append(round.real.sum().item())
        return loss(player, round, **moment)

    monkeypatch.setattr(ready.objective, "loss", watched)
    ready.trainer.step()
    assert len(set(seen["discriminator"])) == 4
    assert seen["generator"] == seen["discriminator"]


def test_a_term_that_is_never_in_a_steps_last_turn_is_told(tiny: Collection) -> None:
    objective = [{"term": "bce"}, {"term": "r1", "weight": 1, "every": 2}]
    config = change(small(training__discriminator_steps=2), {"objective": objective})
    game = session(config, tiny).trainer
    for _ in range(2):
        assert game.step()["term/r1/discriminator"].item() > 0


@pytest.mark.parametrize(
    ("images", "stats", "samples", "checkpoints"),
    [(80, 1, 2, 10_000), (400_000, 2_000, 10_000, 10_000), (4_000_000, 20_000, 100_000, 40_000)],
)
def test_intervals_follow_from_the_length_of_a_run(
    tiny: Collection, images: int, stats: int, samples: int, checkpoints: int
) -> None:
    names = ("stats_every", "samples_every", "checkpoint_every")
    unset: dict[str, Any] = {f"training__{name}": None for name in names}
    training = resolve(small(training__images=images, **unset), tiny).training
    assert [getattr(training, name) for name in names] == [stats, samples, checkpoints]


def test_uniform_latents_fill_their_range(tiny: Collection) -> None:
    ready = session(small(latent__distribution="uniform"), tiny)
    torch.manual_seed(0)
    latents = torch.cat([ready.trainer._latents() for _ in range(100)])
    assert latents.shape == (800, ready.config.latent.dim)
    assert -1 <= latents.min() < -0.99
    assert 0.99 < latents.max() <= 1
    assert latents.std().item() == pytest.approx(3**-0.5, rel=0.02)


def test_the_seeds_of_portions_stay_as_they_are() -> None:
    """Or a run that was begun with an earlier version would end as another one."""
    seeds = []
    for numbers in ((0, 0, 0, 0), (0, 1, 0, 0), (7, 123_456, 1, 3)):
        seed_portion(*numbers)
        seeds.append(torch.initial_seed())
    assert seeds == [6375474604893067239, 8514611595815388268, 8189163609574840140]


def test_the_average_halves_as_it_says(tiny: Collection) -> None:
    ready = session(small(), tiny)
    state = ready.state
    with torch.no_grad():
        for p in state.average.parameters():
            p.fill_(1.0)
        for p in state.generator.parameters():
            p.fill_(0.0)
    state.update_average(500, half_life=1000)
    state.update_average(500, half_life=1000)
    assert weights(state.average).mean().item() == pytest.approx(0.5, rel=1e-6)
    state.update_average(8, half_life=0)
    assert weights(state.average).abs().max() == 0


def test_the_average_ramps_up(tiny: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = session(small(training__ema_half_life=100, training__ema_rampup=0.5), tiny)
    asked: list[tuple[int, float]] = []
    monkeypatch.setattr(ready.state, "update_average", lambda *a: asked.append(a))
    ready.trainer.step()
    ready.state.images_seen = 1000
    ready.trainer.step()
    assert asked == [(8, 4.0), (8, 100)]


def test_the_average_ramps_up_from_the_end_of_pretraining(
    tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only then does the generator begin to change."""
    config = small(
        training__ema_half_life=100, training__ema_rampup=0.5, training__pretrain_images=24
    )
    ready = session(config, tiny)
    asked: list[tuple[int, float]] = []
    monkeypatch.setattr(ready.state, "update_average", lambda *a: asked.append(a))
    for _ in range(5):
        ready.trainer.step()
    assert asked == [(8, 4.0), (8, 8.0)]


def test_the_output_says_the_time_left_that_the_studio_says(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the speed of the latest rows of the statistics."""
    said: dict[int, float | None] = {}

    def update(line: ProgressLine, done: int, left: float | None = None) -> None:
        said[done] = left

    monkeypatch.setattr(ProgressLine, "update", update)
    run = train(
        small(training__images=20, training__stats_every=4), tiny, out=tmp_path, device="cpu"
    )
    rows = Stats(run).rows()
    assert said[rows[1]["images_seen"]]
    for number, row in enumerate(rows, start=1):
        left = seconds_left(rows[:number], 20)
        assert said[row["images_seen"]] == (left if left is None else pytest.approx(left, abs=0.1))


def test_the_average_has_the_running_statistics_too(tiny: Collection) -> None:
    ready = session(small(training__ema_half_life=0), tiny)
    ready.trainer.step()
    for name, value in ready.state.generator.state_dict().items():
        assert torch.equal(value, ready.state.average.state_dict()[name]), name


def test_running_statistics_are_averaged_and_other_buffers_copied(tiny: Collection) -> None:
    state = session(small(), tiny).state
    old, new = state.average.state_dict(), state.generator.state_dict()
    for weights, value in ((old, 1), (new, 5)):
        for values in weights.values():
            values.fill_(value)
    state.update_average(500, half_life=500)
    for name, values in old.items():
        expected = 5 if name.endswith("num_batches_tracked") else 3
        assert (values == expected).all(), name
    assert {name.rpartition(".")[2] for name in old} >= {
        "weight",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


@given(size=st.integers(1, 40), batch=st.integers(1, 60), seed=st.integers(0, 2**40))
def test_every_picture_is_shown_once_an_epoch(size: int, batch: int, seed: int) -> None:
    epochs = 3
    starts = range(0, epochs * size, batch)
    shown = np.concatenate([EpochOrder(size, seed).places(start, batch) for start in starts])
    for epoch in range(epochs):
        assert sorted(shown[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_the_order_differs_by_epoch_and_seed() -> None:
    order = EpochOrder(100, 0)
    first, second = order.places(0, 100), order.places(100, 100)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, EpochOrder(100, 1).places(0, 100))


def test_held_out_pictures_are_never_shown(tiny: Collection) -> None:
    ready = session(small(), tiny)
    held_out = {tiny.images(np.array([i])).tobytes() for i in tiny.heldout_indices}
    assert held_out
    shown, _ = ready.pictures.shown(0, 3 * len(ready.pictures))
    pixels = ((shown + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    seen = Counter(picture.numpy().tobytes() for picture in pixels)
    assert not held_out & set(seen)
    assert set(seen.values()) == {3}


def test_batches_are_in_range_and_channels_last(tiny: Collection) -> None:
    images, labels = session(small(), tiny).pictures.shown(0, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert -1 <= images.min() < -0.5
    assert 0.5 < images.max() <= 1
    assert labels.shape == (8, 0)
    assert memory_format(torch.device("mps"), True) is torch.contiguous_format


def test_a_run_leaves_what_it_promises(tiny: Collection, tmp_path: Path) -> None:
    config = small(training__keep_newest=2, training__keep_every=3)
    run = train(config, tiny, out=tmp_path, device="cpu", recipe_text="text")
    assert run == tmp_path / "00000-ukiyoe_dcgan_v1-tiny"
    record = json.loads((run / "run.json").read_text())
    assert record["collection"]["hash"] == tiny.content_hash
    assert record["config"]["generator"] == {
        "network": "dcgan",
        "width": 4,
        "activation": "relu",
        "batch_norm": True,
    }
    assert record["config"]["training"]["images"] == 64
    rows = Stats(run).rows()
    assert [row["images_seen"] for row in rows] == [16, 32, 48, 64]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    for row in rows:
        assert 0 < row["score/real"] < 1
        assert row["loss/discriminator"] <= row["loss/discriminator/max"]
        assert ("diversity/fake" in row) == (row["images_seen"] % 32 == 0)
    # 16, 32, 48, 64: the newest two, and every third
    assert [int(f.name) for f in checkpoint_folders(run)] == [48, 64]
    names = sorted(p.name for p in (run / "samples").iterdir())
    assert names == [f"fakes-{n:012d}.png" for n in (0, 32, 64)] + ["reals.png"]
    with Image.open(run / "samples" / "fakes-000000000064.png") as grid:
        last_grid = np.asarray(grid)
    # The grid shows the averaged generator at seeds 0 to 3, as `sample` does.
    model = Model.load(find_model(run))
    again = next(Sampler(model.generator, model.latent).batches(range(4)))
    assert last_grid.shape == (64, 64, 3)
    assert np.abs(last_grid[:32, :32].astype(int) - again[0]).max() <= 1
    assert model.record.images_seen == 64
    second = train(config, tiny, out=tmp_path, device="cpu")
    assert second.name.startswith("00001-")


def test_a_length_that_is_no_whole_number_of_batches(tiny: Collection, tmp_path: Path) -> None:
    run = train(small(training__images=20), tiny, out=tmp_path, device="cpu")
    assert Stats(run).rows()[-1]["images_seen"] == 24
    assert int(checkpoint_folders(run)[-1].name) == 24


def test_epochs_become_images(tiny: Collection) -> None:
    config = resolve(small(training__epochs=2.5), tiny)
    assert config.training.images == 72  # 2.5 times 27, rounded up to batches of 8


def test_kept_checkpoints_do_not_depend_on_interruptions(tmp_path: Path) -> None:
    for images in (100, 150, 200, 300, 310, 400, 500):  # 150 and 310: Ctrl-C
        (tmp_path / "checkpoints" / f"{images:012d}").mkdir(parents=True)
    prune(tmp_path, keep_newest=1, keep_every=3, interval=100)
    assert [int(f.name) for f in checkpoint_folders(tmp_path)] == [300, 500]
    prune(tmp_path, keep_newest=1, keep_every=None, interval=100)
    assert [int(f.name) for f in checkpoint_folders(tmp_path)] == [500]


def test_checkpoints_with_favourites_are_kept(tmp_path: Path) -> None:
    """No other weights paint these pictures."""
    for images in (100, 200, 300, 400):
        folder = tmp_path / "checkpoints" / f"{images:012d}"
        folder.mkdir(parents=True)
        for name in ("model.json", "generator.safetensors", "state.json", ".half.tmp"):
            (folder / name).touch()
    for images in (100, 200):
        (tmp_path / "checkpoints" / f"{images:012d}" / "favourites.json").write_text("{}")
    prune(tmp_path, keep_newest=1, keep_every=None, interval=100)
    assert [int(f.name) for f in checkpoint_folders(tmp_path)] == [100, 200, 400]


def test_a_checkpoint_that_is_held_is_kept_for_an_hour(tmp_path: Path) -> None:
    folders = [tmp_path / "checkpoints" / f"{images:012d}" for images in (100, 200, 300, 400)]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in folders[:2]:
        hold(folder)
    long_ago = time.time() - HELD_SECONDS - 60
    os.utime(folders[0] / HOLD, (long_ago, long_ago))
    prune(tmp_path, keep_newest=1, keep_every=None, interval=100)
    assert checkpoint_folders(tmp_path) == [folders[1], folders[3]]
    hold(folders[0])  # it is no longer there
    assert not folders[0].exists()


def test_favourites_in_a_checkpoint_that_is_taken_back_stay_with_the_run(tmp_path: Path) -> None:
    """With the weights that paint them, as often as the run goes back."""
    written = {"generator.safetensors", "model.json", "discriminator.safetensors"}
    state = StateRecord(images_seen=100, steps=1, seconds=1.0, state_sha256="")
    for order in ("first", "second"):
        for images in (100, 200, 300):
            folder = tmp_path / "checkpoints" / f"{images:012d}"
            folder.mkdir(parents=True, exist_ok=True)
            for name in written:
                (folder / name).write_text(order)
            (folder / "state.json").write_text(state.model_dump_json())
            (folder / "state.safetensors").touch()
        (folder / "favourites.json").write_text("{}")
        (kept,) = go_back(tmp_path, checkpoint_folders(tmp_path)[0], [])
        assert [int(each.name) for each in checkpoint_folders(tmp_path)] == [100]
        assert {each.name for each in kept.iterdir()} == {*written, "favourites.json"}
        assert (kept / "generator.safetensors").read_text() == order
    places = sorted(each.name for each in (tmp_path / "taken-back").iterdir())
    assert places == ["000000000300", "000000000300-2"]


def test_runs_take_the_next_free_number(tmp_path: Path) -> None:
    (tmp_path / "00007-old").mkdir()
    assert create(tmp_path, "x", {}).name == "00008-x"
    assert create(tmp_path, "x", {}).name == "00009-x"
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "write_json", full)
    with pytest.raises(ImpastoError, match="the disk is full"):
        create(tmp_path, "x", {})
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_with_a_checkpoint(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Trainer.step, itertools.count(1)

    def step(self: Trainer) -> Any:
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(StoppedError):
        train(small(training__checkpoint_every=1000), tiny, out=tmp_path, device="cpu")
    assert signal.getsignal(signal.SIGINT) is before
    (run,) = tmp_path.iterdir()
    assert [int(f.name) for f in checkpoint_folders(run)] == [24]
    assert Stats(run).rows()[-1]["images_seen"] == 24


def test_wrong_requests_make_no_run(tiny: Collection, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"resolution": 64}, "holds pictures of 32 pixels"),
        ({"labels": ["style"]}, "style"),
        ({"training__images": None, "training__epochs": None}, "how long to train is not set"),
        ({"generator__width": 0}, "'generator.width' cannot be 0"),
        ({"generator__depth": 1}, "unknown setting 'generator.depth'"),
        ({"objective": [{"term": "hing"}]}, "unknown term 'hing'"),
    ]
    for settings, message in cases:
        with pytest.raises(ImpastoError, match=message):
            train(small(**settings), tiny, out=tmp_path / "runs", device="cpu")
    with pytest.raises(ImpastoError, match="no device 'tpu' on this machine; there is"):
        train(small(), tiny, out=tmp_path / "runs", device="tpu")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ImpastoError, match="cannot write"):
        train(small(), tiny, out=tmp_path / "file", device="cpu")


def test_a_damaged_collection_is_not_trained_on(tiny: Collection, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "copy")
    pixels = np.lib.format.open_memmap(tmp_path / "copy" / "images-00000.npy", mode="r+")
    pixels[3, 0, 0, 0] ^= 1
    pixels.flush()
    with pytest.raises(ImpastoError, match="copy"):
        train(small(), Collection.open(tmp_path / "copy"), out=tmp_path / "runs", device="cpu")
    assert not (tmp_path / "runs").exists()


def test_a_second_ctrl_c_stops_at_once(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Trainer) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on after a second Ctrl-C")

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(StoppedError, match="go on from the newest checkpoint: impasto resume"):
        train(small(), tiny, out=tmp_path, device="cpu")


def test_very_long_names(tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "name", "名" * 100)
    run = train(small(training__images=8), tiny, out=tmp_path, device="cpu")
    assert run.name.startswith("00000-ukiyoe_dcgan_v1-名名")


def test_numbers_that_stop_being_finite_end_training(tiny: Collection, tmp_path: Path) -> None:
    config = small(
        training__images=400,
        generator_optimiser__learning_rate=1e30,
        discriminator_optimiser__learning_rate=1e30,
        doctor__rollbacks=0,
    )
    with pytest.raises(
        ImpastoError, match=r"has diverged by 16 images: .* no longer a finite number"
    ):
        train(config, tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    assert Stats(run).rows()[-1]["loss/discriminator"] is None
    assert not checkpoint_folders(run)


@pytest.mark.parametrize("objective", ["bce", "hinge", "wasserstein"])
def test_bfloat16_where_it_is_asked_for(objective: str, tiny: Collection) -> None:
    more = WGAN_GP if objective == "wasserstein" else {"objective": [{"term": objective}]}
    ready = session(small(training__precision="bfloat16", **more), tiny)
    mixed = ready.trainer.step()["loss/discriminator"].item()
    exact_session = session(small(training__precision="float32", **more), tiny)
    exact = exact_session.trainer.step()["loss/discriminator"].item()
    assert mixed == pytest.approx(exact, rel=0.05)
    assert mixed != exact
    # Finer than bfloat16 itself: the loss was computed in float32.
    assert mixed != torch.tensor(mixed).bfloat16().item()
    assert all(p.dtype == torch.float32 for p in ready.state.generator.parameters())


def test_tensorboard_after_an_interruption(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patch:
        original, taken = Trainer.step, itertools.count()

        def step(self: Trainer) -> Any:
            if next(taken) == 7:
                raise ZeroDivisionError
            return original(self)

        patch.setattr(Trainer, "step", step)
        config = small(training__checkpoint_every=32)
        with pytest.raises(ZeroDivisionError):
            train(config, tiny, out=tmp_path, device="cpu", tensorboard=True)
    (run,) = tmp_path.iterdir()
    resume(run)
    events = EventAccumulator(str(run))
    events.Reload()
    assert [e.step for e in events.Scalars("loss/discriminator")] == [16, 32, 48, 64]


def test_without_tensorboard_there_is_no_run(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImpastoError, match="TensorBoard is not installed"):
        train(small(), tiny, out=tmp_path / "runs", device="cpu", tensorboard=True)
    assert not (tmp_path / "runs").exists()


def test_tensorboard(tiny: Collection, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(small(), tiny, out=tmp_path, device="cpu", tensorboard=True)
    events = EventAccumulator(str(run))
    events.Reload()
    written = [(e.step, e.value) for e in events.Scalars("loss/discriminator")]
    rows = [(row["images_seen"], row["loss/discriminator"]) for row in Stats(run).rows()]
    assert [step for step, _ in written] == [step for step, _ in rows]
    assert [v for _, v in written] == pytest.approx([v for _, v in rows], rel=1e-6)
    assert len(events.Images("samples")) == 3
    assert all(row["images_per_second"] > 0 for row in Stats(run).rows())


def test_tensorboard_has_numbers_only(tmp_path: Path) -> None:
    """Neither what the doctor said nor the clock itself."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path, 0)
    told = [{"event": "begun", "symptom": "collapse"}]
    board.row({"images_seen": 8, "step": 1, "loss/discriminator": 0.5, "doctor": told})
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss/discriminator"]


def test_diversity() -> None:
    same = torch.full((5, 3, 32, 32), 0.3)
    assert diversity(same) == 0
    halves = torch.cat([torch.full((1, 3, 32, 32), -1.0), torch.full((1, 3, 32, 32), 1.0)])
    assert diversity(halves) == pytest.approx(1.0)
    assert diversity(halves[:1]) == 0


def test_times_read_well() -> None:
    texts = [readable_time(s) for s in (5, 99, 600, 3_900, 200_000)]
    assert texts == ["5 s", "99 s", "10 min", "1 h 05 min", "2 d 7 h"]
