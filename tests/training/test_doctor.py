"""The doctor: every fault is injected, seen in words, and (where it must be) undone exactly."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection, PackOptions, pack
from impasto.config import RunConfig, parse_config
from impasto.diagnosis import watch
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW
from impasto.errors import ImpastoError, StoppedError
from impasto.reporting import page
from impasto.reporting.record import read_record
from impasto.sampling.model import checkpoint_folders
from impasto.training import checkpoint, resume, run_folder, train
from impasto.training import evaluation as training_evaluation
from impasto.training.doctor import Intervention
from impasto.training.run_folder import Stats
from impasto.training.state import TrainState
from impasto.training.trainer import Trainer
from tests.helpers.command_line import (
    Say,
)
from tests.helpers.sketches import sketch
from tests.helpers.stopping import StoppedByTest
from tests.helpers.training import small

Row = dict[str, Any]


# Going back

LENGTHS: dict[str, Any] = {"training__images": 96, "training__ema_half_life": 40}


def break_weights(
    patch: pytest.MonkeyPatch, step: int, *, until: int = 1, network: str = "discriminator"
) -> None:
    """Weights become NaN in that step, as long as the doctor has gone back less than `until` times."""
    original = Trainer.step

    def broken(self: Trainer) -> Any:
        if self.state.steps == step and len(self.state.interventions) < until:
            with torch.no_grad():
                next(getattr(self.state, network).parameters()).fill_(float("nan"))
        return original(self)

    patch.setattr(Trainer, "step", broken)


def events_of(run: Path) -> list[tuple[int, Row]]:
    return [
        (row["images_seen"], event) for row in Stats(run).rows() for event in row.get("doctor", [])
    ]


@pytest.mark.usefixtures("told")
def test_nan_is_undone_and_the_rest_is_learnt_at_half_the_rates(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        break_weights(patch, step=8)
        run = train(small(**LENGTHS), tiny, out=tmp_path / "broken", device="cpu")
    ((moment, event),) = events_of(run)
    assert moment == 64
    assert (event["event"], event["symptom"]) == ("went back", "not finite")
    assert (event["seen_at"], event["back_to"], event["learning_rate_factor"]) == (80, 64, 0.5)
    assert "no longer a finite number" in event["words"]
    out = capsys.readouterr().out
    assert re.search(r"^doctor: .* went back to 64, learning rates halved \(0\.5 of", out, re.M)
    assert "doctor: went back once, so learning rates ended at 0.5 of what was set" in out
    numbers = [row["images_seen"] for row in Stats(run).rows()]
    assert numbers == [16, 32, 48, 64, 80, 96]

    # The same by other means: nothing breaks, and after 64 images the rates are halved.
    with monkeypatch.context() as patch:
        original = TrainState.schedule

        def schedule(self: TrainState, config: RunConfig) -> None:
            original(self, config)
            for optimiser in self.optimisers.values():
                for group in optimiser.param_groups:
                    group["lr"] *= 0.5 if self.images_seen >= 64 else 1.0

        patch.setattr(TrainState, "schedule", schedule)
        other = train(small(**LENGTHS), tiny, out=tmp_path / "other", device="cpu")
    one, two = fingerprint(run), fingerprint(other)
    assert one.pop("rows") != two.pop("rows")
    assert one == two
    plain = train(small(**LENGTHS), tiny, out=tmp_path / "plain", device="cpu")
    assert fingerprint(plain)["state.safetensors"] != one["state.safetensors"]


def test_weights_that_no_loss_has_shown_yet_are_not_saved(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.step

    def step(self: Trainer) -> Any:
        statistics = original(self)
        if self.state.steps == 6 and not self.state.interventions:
            with torch.no_grad():
                next(self.state.average.parameters()).fill_(float("nan"))
        return statistics

    monkeypatch.setattr(Trainer, "step", step)
    run = train(small(**LENGTHS), tiny, out=tmp_path, device="cpu")
    ((moment, event),) = events_of(run)
    assert (moment, event["seen_at"], event["back_to"]) == (32, 48, 32)
    assert "weights" in event["words"]


@pytest.mark.parametrize("recipe", ["ukiyoe_dcgan_v1", "gantor_v2"])
def test_without_a_checkpoint_it_goes_back_to_the_beginning(
    recipe: str, labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(recipe, training__images=32)
    with monkeypatch.context() as patch:
        break_weights(patch, step=1)
        run = train(config, labelled, out=tmp_path / "broken", device="cpu")
        stages = [run / "stage-1", run] if config.first_stage else [run]
        for stage in stages:
            ((moment, event),) = events_of(stage)
            assert (moment, event["back_to"]) == (0, 0)

    # As if the rates had been half from the beginning, in each stage.
    def halved(optimiser: str, of: RunConfig, stage: str = "") -> dict[str, Any]:
        rate = getattr(of, optimiser).learning_rate
        return {f"{stage}{optimiser}__learning_rate": rate / 2}

    settings: dict[str, Any] = {}
    for optimiser in ("generator_optimiser", "discriminator_optimiser"):
        settings |= halved(optimiser, config)
        if config.first_stage:
            settings |= halved(optimiser, config.first_stage, "first_stage__")
    slow = train(
        small(recipe, training__images=32, **settings), labelled, out=tmp_path, device="cpu"
    )
    assert fingerprint(run)["state.safetensors"] == fingerprint(slow)["state.safetensors"]


def test_a_run_that_started_from_a_model_goes_back_to_that(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = train(small(training__images=16), tiny, out=tmp_path / "model", device="cpu")
    config = small(training__images=32, training__seed=1)
    with monkeypatch.context() as patch:
        break_weights(patch, step=1)
        run = train(config, tiny, out=tmp_path / "broken", device="cpu", start_from=model)
    ((moment, event),) = events_of(run)
    assert (moment, event["back_to"]) == (0, 0)
    rates = {
        f"{name}__learning_rate": getattr(config, name).learning_rate / 2
        for name in ("generator_optimiser", "discriminator_optimiser")
    }
    config = small(training__images=32, training__seed=1, **rates)
    slow = train(config, tiny, out=tmp_path / "slow", device="cpu", start_from=model)
    assert fingerprint(run)["state.safetensors"] == fingerprint(slow)["state.safetensors"]


def test_it_goes_back_further_where_that_did_not_help_and_then_stops(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    config = small(**LENGTHS, training__keep_newest=3, training__keep_every=None)
    break_weights(monkeypatch, step=8, until=99)
    with pytest.raises(
        ImpastoError, match=r"going back 3 times.*lower learning rates, below 0\.125"
    ) as e:
        train(config, tiny, out=tmp_path, device="cpu")
    assert "\n" not in str(e.value)
    (run,) = tmp_path.iterdir()
    assert f"training of {run} has diverged by 80 images" in str(e.value)
    back = [event["back_to"] for _, event in events_of(run) if event["event"] == "went back"]
    # The first may have been too late; after the second there is another one of 64 images.
    assert back == [64, 48, 64]
    last, event = events_of(run)[-1]
    assert (last, event["event"], event["seen_at"]) == (80, "gave up", 80)
    assert [int(folder.name) for folder in checkpoint_folders(run)][-1] == 64
    before = Stats(run).rows()
    code, _, err = say("resume", str(run))
    assert code == 2
    assert "has diverged by 80 images" in err.splitlines()[-1]
    without = [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
        for row in before
    ]
    again = [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
        for row in Stats(run).rows()
    ]
    assert again == without


def test_it_may_be_told_to_stop_at_once(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch, step=5, until=99)
    with pytest.raises(
        ImpastoError, match=r"has diverged by 48 images: .*Its checkpoints are whole"
    ):
        train(small(doctor__rollbacks=0), tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    assert [event["event"] for _, event in events_of(run)] == ["gave up"]
    assert int(checkpoint_folders(run)[-1].name) == 32


def test_an_explosion_is_undone(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.step

    def step(self: Trainer) -> Any:
        if self.state.steps == 8 and not self.state.interventions:
            with torch.no_grad():
                list(self.state.discriminator.parameters())[-1].mul_(1e9)
        return original(self)

    monkeypatch.setattr(Trainer, "step", step)
    run = train(small(**LENGTHS, objective=[{"term": "hinge"}]), tiny, out=tmp_path, device="cpu")
    ((moment, event),) = events_of(run)
    assert (moment, event["symptom"]) == (64, "explosion")
    assert all(abs(row["loss/generator"]) < 1e3 for row in Stats(run).rows())


def test_learning_rates_beyond_reason_explode(tiny: Collection, tmp_path: Path) -> None:
    config = small(
        objective=[{"term": "wasserstein"}],
        generator_optimiser__learning_rate=300.0,
        discriminator_optimiser__learning_rate=300.0,
        training__images=400,
        training__checkpoint_every=400,
        doctor__rollbacks=1,
    )
    with pytest.raises(ImpastoError, match="has exploded to"):
        train(config, tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    found = [event for _, event in events_of(run)]
    assert [event["event"] for event in found] == ["went back", "gave up"]
    assert {event["symptom"] for event in found} == {"explosion"}


PLACES = {
    "before it has begun": (checkpoint, "write_json", 0),
    "between the state and the row": (run_folder, "rewind", 0),
    "before the row": (run_folder.Stats, "add_events", 0),
    "while a later checkpoint is removed": (shutil, "rmtree", 0),
    "in the next step": (Trainer, "step", 0),
    "two steps later": (Trainer, "step", 1),
}


def breaking(first: bool, patch: pytest.MonkeyPatch) -> RunConfig:
    """The config of a run that goes back twice: further the second time, past a checkpoint; or `first`,
    to a beginning without one."""
    settings: dict[str, Any] = {"training__images": 64 if first else 96}
    break_weights(patch, step=1 if first else 7, until=2)
    return small(**settings, training__checkpoint_every=24)


@pytest.fixture(scope="module")
def gone_back(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Such runs that were never stopped."""
    runs = {}
    for first in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            config = breaking(first, patch)
            runs[first] = train(config, tiny, out=tmp_path_factory.mktemp("whole"), device="cpu")
        assert len(events_of(runs[first])) == 2
    return runs


@pytest.mark.parametrize(
    ("place", "first"),
    [
        *((place, False) for place in PLACES),
        ("between the state and the row", True),
        ("in the next step", True),
    ],
)
def test_killed_around_going_back(
    place: str,
    first: bool,
    gone_back: dict[bool, Path],
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, whole = breaking(first, monkeypatch), gone_back[first]
    owner, name, later = PLACES[place]
    with monkeypatch.context() as patch:
        armed: list[int] = []
        original, went_back = getattr(owner, name), checkpoint.go_back

        def dying(*arguments: Any, **options: Any) -> Any:
            if armed:
                armed[0] -= 1
                if armed[0] < 0:
                    raise StoppedByTest
            return original(*arguments, **options)

        def go_back(*arguments: Any) -> Any:
            if len(arguments[2]) == 2:  # the second time
                armed.append(later)
            return went_back(*arguments)

        patch.setattr(owner, name, dying)
        patch.setattr(checkpoint, "go_back", go_back)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert events_of(died) == events_of(whole)


def test_stopped_on_the_way_it_goes_back_as_far(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(training__images=96, training__checkpoint_every=32, training__keep_newest=1)
    break_weights(monkeypatch, step=7)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    broken_step, taken = Trainer.step, [0]

    def step(self: Trainer) -> Any:
        taken[0] += 1
        if taken[0] == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return broken_step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        with pytest.raises(StoppedError):
            train(config, tiny, out=tmp_path / "stopped", device="cpu")
    (stopped,) = (tmp_path / "stopped").iterdir()
    assert [int(folder.name) for folder in checkpoint_folders(stopped)] == [32, 48]
    resume(stopped)
    ((moment, event),) = events_of(stopped)
    assert (moment, event["back_to"]) == (32, 32)
    assert fingerprint(stopped) == fingerprint(whole)


def test_a_request_to_stop_is_not_lost_in_going_back(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch, step=5)
    original = checkpoint.go_back

    def go_back(*arguments: Any) -> Any:
        kept = original(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return kept

    monkeypatch.setattr(checkpoint, "go_back", go_back)
    with pytest.raises(StoppedError, match="a checkpoint is saved"):
        train(small(**LENGTHS), tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    assert [int(folder.name) for folder in checkpoint_folders(run)] == [16, 32, 40]


def test_runs_from_before_there_was_a_doctor(tiny: Collection, tmp_path: Path) -> None:
    whole = train(small(), tiny, out=tmp_path / "whole", device="cpu")
    run = train(small(training__images=32), tiny, out=tmp_path / "old", device="cpu")
    record = json.loads((run / "run.json").read_text())
    del record["config"]["doctor"]
    record["config"]["training"]["images"] = 64
    (run / "run.json").write_text(json.dumps(record))
    for folder in checkpoint_folders(run):
        state = json.loads((folder / "state.json").read_text())
        assert state.pop("interventions") == []
        (folder / "state.json").write_text(json.dumps(state))
    assert parse_config(record["config"], "old").doctor.rollbacks == 3
    resume(run)
    assert fingerprint(run) == fingerprint(whole)


# Faults that training itself brings about


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """16 training pictures of 16 pixels, of 16 random blocks each, and as many held out as may be."""
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(1)
    for split, count in (("train", 16), ("test", 16)):
        (folder / "pictures" / split).mkdir(parents=True)
        for index in range(count):
            blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            picture = Image.fromarray(blocks).resize((16, 16), Image.Resampling.NEAREST)
            picture.save(folder / "pictures" / split / f"{index:03d}.png")
    pack(folder / "pictures", folder / "collection", PackOptions(resolution=16, fit="crop"))
    return Collection.open(folder / "collection")


def long(steps: int = 110, **settings: Any) -> RunConfig:
    return small(
        objective=[{"term": "bce"}],
        resolution=16,
        training__images=4 * steps,
        training__batch=4,
        training__stats_every=12,
        training__samples_every=36,
        training__checkpoint_every=440,
        training__grid=16,
        **settings,
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are judged from 60 steps on: these faults are there from the beginning."""
    monkeypatch.setattr(watch, "LEAST_STEPS", 60)


def symptoms(run: Path) -> set[str]:
    return {event["symptom"] for _, event in events_of(run) if event["event"] == "begun"}


def paint(monkeypatch: pytest.MonkeyPatch, painter: Callable[[Tensor], Tensor]) -> None:
    """Generators paint `painter(latents)`, whatever they learn."""
    original = TrainState.build

    def build(*arguments: Any) -> TrainState:
        state = original(*arguments)

        def replace(_: nn.Module, inputs: tuple[Tensor, ...], images: Tensor) -> Tensor:
            return images * 0 + painter(inputs[0])

        state.generator.register_forward_hook(replace)
        state.average.register_forward_hook(replace)
        return state

    monkeypatch.setattr(TrainState, "build", build)


@pytest.mark.usefixtures("impatient")
@pytest.mark.usefixtures("told")
def test_collapse(
    noise: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paint(monkeypatch, lambda latents: torch.zeros(len(latents), 3, 16, 16))
    run = train(long(), noise, out=tmp_path, device="cpu")
    assert "collapse" in symptoms(run)
    out = capsys.readouterr().out
    assert len(re.findall(r"images, doctor: The generated pictures have been alike", out)) == 1
    assert re.search(r"doctor: not passed by the end: .*collapse", out)


@pytest.mark.usefixtures("impatient")
def test_a_generator_that_does_not_learn_loses(noise: Collection, tmp_path: Path) -> None:
    config = long(220, generator_optimiser__learning_rate=1e-9)
    assert "discriminator wins" in symptoms(train(config, noise, out=tmp_path, device="cpu"))


@pytest.mark.usefixtures("impatient")
def test_a_discriminator_that_does_not_learn_loses(noise: Collection, tmp_path: Path) -> None:
    config = long(discriminator_optimiser__learning_rate=1e-9)
    assert "generator wins" in symptoms(train(config, noise, out=tmp_path, device="cpu"))


@pytest.mark.usefixtures("impatient")
def test_knowing_by_heart(
    noise: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A generator beyond reproach: new pictures, made as those of the collection are. The only way to
    # tell them apart is to know the training pictures.
    def fresh(latents: Tensor) -> Tensor:
        blocks = torch.special.ndtr(latents[:, :48]).reshape(-1, 3, 4, 4) * 2 - 1
        return nn.functional.interpolate(blocks, scale_factor=4)

    paint(monkeypatch, fresh)
    config = long(220, discriminator_optimiser__learning_rate=2e-3, discriminator__width=16)
    found = symptoms(train(config, noise, out=tmp_path, device="cpu"))
    assert "knows by heart" in found
    assert "collapse" not in found


@pytest.mark.usefixtures("impatient")
def test_copying(noise: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_evaluation, "load_network", sketch)
    known = torch.from_numpy(noise.images(noise.train_indices)).permute(0, 3, 1, 2) / 127.5 - 1

    def copies(latents: Tensor) -> Tensor:
        return known[(latents[:, 0].abs() * 1000).long() % len(known)]

    paint(monkeypatch, copies)
    config = long(evaluation__every=110, evaluation__pictures=40)
    run = train(config, noise, out=tmp_path, device="cpu")
    evaluated = [row for row in Stats(run).rows() if COPIED_LOW in row]
    assert len(evaluated) == 4
    assert all(row[COPIED_LOW] > row[COPIED_BY_CHANCE] for row in evaluated)
    assert "copying" in symptoms(run)


# The report


def test_what_the_report_tells(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    break_weights(monkeypatch, step=5, until=1)
    run = train(small(), tiny, out=tmp_path, device="cpu")
    stats = Stats(run).rows()
    stats[-1]["doctor"] = [
        {"event": "begun", "symptom": "collapse", "words": "All <alike>.", "advice": "Try <this>."},
        {"event": "begun", "symptom": "copying", "words": "Copied.", "advice": "Look."},
        {"event": "passed", "symptom": "copying", "words": "No more copies."},
        {"event": "went back"},
        "nonsense",
    ]
    run_folder._write_rows(run / "stats.jsonl", stats)
    found = read_record(run).doctor
    assert [(event.images_seen, event.kind) for event in found] == [
        (48, "went back"),
        (64, "begun"),
        (64, "begun"),
        (64, "passed"),
    ]
    page.write_report(run)
    text = (run / "report.html").read_text()
    assert "The doctor's events during training" in text
    assert "Went back to 32 images, learning rates halved (0.5 of what was set)." in text
    assert "collapse (lasts)" in text
    assert "copying (lasts)" not in text
    assert "All &lt;alike&gt;." in text
    code, out, _ = say("report", str(run))
    assert code == 0
    assert "doctor, after 48 images: The discriminator's loss is no longer a finite number." in out
    assert "Copied" not in out


def test_the_report_of_a_run_that_was_given_up(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch, step=5, until=99)
    with pytest.raises(ImpastoError, match="has diverged"):
        train(small(doctor__rollbacks=0), tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    status = page.write_report(run).status
    assert status == "stopped by the doctor, for it had diverged: 48 of 64 images (75%)"
    text = (run / "report.html").read_text()
    assert "Resumed, it would diverge again: start again with other settings." in text
    assert "make the report again" not in text
    assert "Go on from a checkpoint" not in text
    assert "What to try:</strong> The run was stopped. Start again with lower" in text
    # Resumed after all, say on another device, and gone on: it counts as any other.
    Stats(run).append({"images_seen": 56, "step": 7, "seconds": 1.0})
    assert page.write_report(run).status == "not finished: 56 of 64 images (88%)"
    assert "make the report again" in (run / "report.html").read_text()


def test_the_report_of_a_first_stage_that_was_given_up(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_weights(monkeypatch, step=2, until=99)
    lengths = {"training__images": 32, "first_stage__training__images": 32}
    config = small("gantor_v2", **lengths, first_stage__doctor__rollbacks=0)
    with pytest.raises(ImpastoError, match="has diverged"):
        train(config, labelled, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    status = page.write_report(run).status
    assert status.startswith("stage I stopped by the doctor, for it had diverged: ")
    assert status.endswith("; stage II not begun")
    assert "make the report again" not in (run / "report.html").read_text()


def test_an_intervention_is_a_record() -> None:
    one = Intervention(symptom="not finite", words="w", seen_at=2, back_to=1)
    assert Intervention.model_validate(json.loads(json.dumps(one.model_dump()))) == one
