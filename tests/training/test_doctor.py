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
from impasto.errors import ImpastoError, StoppedError
from impasto.report import page
from impasto.report.record import read_record
from impasto.sampling.model import checkpoint_folders
from impasto.training import checkpoint, doctor, resume, run_folder, train
from impasto.training import evaluation as training_evaluation
from impasto.training.doctor import (
    COPIED_BY_CHANCE,
    COPIED_LOW,
    Doctor,
    Intervention,
    Series,
    Sign,
    broken,
)
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
Rule = Callable[[Series, bool], Sign | None]


# What is told


def rows(count: int = 60, **changes: Callable[[int], float] | float) -> list[Row]:
    """The rows of a healthy run with a grid in every second one, of `count` rows and ten steps each;
    `changes` are constants or functions of the row's number, `__` stands for a slash."""
    healthy: Row = {
        "loss/discriminator": 1.2,
        "loss/generator": 1.1,
        "term/bce/discriminator": 1.1,
        "term/bce/generator": 0.9,
        "score/real": 0.6,
        "score/fake": 0.4,
        "accuracy/real": 0.7,
        "accuracy/fake": 0.7,
    }
    grid = {
        "diversity/fake": 0.3,
        "diversity/real": 0.33,
        "score/shown": 0.65,
        "score/heldout": 0.62,
        "score/sampled": 0.35,
    }
    made = []
    for number in range(count):
        row: Row = {"images_seen": 80 * (number + 1), "step": 10 * (number + 1), **healthy}
        if number % 2:
            row |= grid
        for name, change in changes.items():
            key = name.replace("__", "/")
            if key not in grid or number % 2:
                row[key] = change(number) if callable(change) else change
        made.append(row)
    return made


def told(made: list[Row], **options: Any) -> list[tuple[int, str, str]]:
    """(row's number, event, symptom) of all that the doctor says of these rows."""
    watching = Doctor([], **{"adversarial": "bce", "critic": False, **options})
    found = []
    for number, row in enumerate(made):
        assert watching.trouble(row) is None
        found += [(number, event["event"], event["symptom"]) for event in watching.look(row)]
    return found


def between(first: int, last: int, then: float, otherwise: float) -> Callable[[int], float]:
    return lambda number: then if first <= number < last else otherwise


def test_of_a_healthy_run_nothing_is_told() -> None:
    random = np.random.default_rng(0)

    def noisy(middle: float, deviation: float) -> Callable[[int], float]:
        return lambda _: float(np.clip(random.normal(middle, deviation), 0, None))

    made = rows(
        200,
        **{
            "loss/discriminator": noisy(1.2, 0.3),
            "loss/generator": noisy(1.1, 0.5),
            "accuracy/real": noisy(0.75, 0.15),
            "accuracy/fake": noisy(0.75, 0.15),
            "diversity/fake": noisy(0.3, 0.04),
            "score/heldout": noisy(0.6, 0.1),
        },
    )
    assert told(made) == []


SICK: dict[str, dict[str, Any]] = {
    "knows by heart": {"score__heldout": between(25, 40, 0.4, 0.62)},
    "overfitting sign": {"accuracy__real": between(5, 40, 0.97, 0.7), "score__heldout": 0.5},
    "discriminator wins": {
        "accuracy__real": between(5, 40, 1.0, 0.7),
        "accuracy__fake": between(5, 40, 1.0, 0.7),
        "term__bce__discriminator": between(5, 40, 0.05, 1.1),
        "term__bce__generator": between(5, 40, 4.0, 0.9),
    },
    "generator wins": {"accuracy__fake": between(5, 40, 0.05, 0.7)},
    "collapse": {"diversity__fake": between(25, 40, 0.05, 0.3)},
    "copying": {
        COPIED_BY_CHANCE: 0.03,
        COPIED_LOW: between(25, 40, 0.2, 0.01),
    },
}


@pytest.mark.parametrize("symptom", SICK)
def test_a_symptom_is_told_once_and_once_when_it_has_passed(symptom: str) -> None:
    made = rows(70, **SICK[symptom])
    found = told(made)
    assert [(event, name) for _, event, name in found] == [("begun", symptom), ("passed", symptom)]
    (first, *_), (last, *_) = found
    assert 19 <= first < 40 <= last  # from 200 steps on, and not before it lasts
    # A doctor who comes later, to a run that was resumed, knows what was told.
    watching = Doctor([], adversarial="bce", critic=False)
    for number, row in enumerate(made):
        events = watching.look(row)
        if events:
            row["doctor"] = events
        if number in (first, first + 3):
            again = Doctor(
                json.loads(json.dumps(made[: number + 1])), adversarial="bce", critic=False
            )
            assert again.in_short(()) == [f"doctor: not passed by the end: {symptom}"]
            watching = again


def steady(**values: float) -> Series:
    """Twenty rows of these values."""
    return {name: [value] * 20 for name, value in values.items()}


def memory(share: float) -> dict[str, float]:
    """Held-out pictures lie that share of the way from training pictures to generated ones."""
    return {"shown less heldout": share, "shown less sampled": 1.0}


def sure(real: float, **more: float) -> Series:
    return steady(**{"accuracy/real": real, "adversarial/discriminator": 1.0, **more})


def lopsided(accuracy: float, times: float) -> Series:
    sides = {"accuracy/real": 1.0, "accuracy/fake": accuracy}
    return steady(
        **sides, **{"adversarial/discriminator": 0.2, "adversarial/generator": 0.2 * times}
    )


def alike(before: float, now: float) -> Series:
    return {"diversity/share": [before] * 5 + [now] * 3}


def copied(*low: float) -> Series:
    return {COPIED_LOW: low, COPIED_BY_CHANCE: [0.16] * len(low)}


@pytest.mark.parametrize(
    ("rule", "told", "just_enough", "not_enough"),
    [
        (doctor.knows_by_heart, False, steady(**memory(0.61)), steady(**memory(0.59))),
        (doctor.knows_by_heart, True, steady(**memory(0.41)), steady(**memory(0.39))),
        (doctor.overfitting_sign, False, sure(0.951), sure(0.949)),
        (doctor.overfitting_sign, True, sure(0.901), sure(0.899)),
        (doctor.overfitting_sign, False, sure(0.96, **memory(0.31)), sure(0.96, **memory(0.29))),
        (doctor.discriminator_wins, False, lopsided(0.981, 11), lopsided(0.979, 11)),
        (doctor.discriminator_wins, False, lopsided(0.99, 10.1), lopsided(0.99, 9.9)),
        (doctor.discriminator_wins, True, lopsided(0.951, 6), lopsided(0.949, 6)),
        (doctor.discriminator_wins, True, lopsided(0.99, 5.1), lopsided(0.99, 4.9)),
        (
            doctor.generator_wins,
            False,
            steady(**{"accuracy/fake": 0.099}),
            steady(**{"accuracy/fake": 0.101}),
        ),
        (
            doctor.generator_wins,
            True,
            steady(**{"accuracy/fake": 0.249}),
            steady(**{"accuracy/fake": 0.251}),
        ),
        (doctor.collapse, False, alike(0.8, 0.35), alike(0.8, 0.37)),
        (doctor.collapse, False, alike(2.0, 0.44), alike(2.0, 0.46)),  # a best above 1 counts as 1
        (doctor.collapse, True, alike(0.8, 0.47), alike(0.8, 0.49)),
        (
            doctor.collapse,
            False,
            {"diversity/share": [0.19] * 10},
            {"diversity/share": [0.21] * 10},
        ),
        (doctor.collapse, False, {"diversity/share": [0.19] * 10}, {"diversity/share": [0.19] * 9}),
        (doctor.copying, False, copied(0.17, 0.17), copied(0.15, 0.17)),
        (doctor.copying, True, copied(0.15, 0.17), copied(0.17, 0.15)),
    ],
)
def test_the_limits_are_where_the_rules_say(
    rule: Rule, told: bool, just_enough: Series, not_enough: Series
) -> None:
    assert rule(just_enough, told) is not None
    assert rule(not_enough, told) is None


def test_pictures_alike_from_the_start() -> None:
    found = told(rows(diversity__fake=0.03))
    assert [(event, name) for _, event, name in found] == [("begun", "collapse")]


def test_single_rows_and_the_first_steps_say_nothing() -> None:
    spiky = rows(
        accuracy__real=lambda n: 1.0 if n % 3 == 0 else 0.7,
        accuracy__fake=lambda n: 0.0 if n % 3 == 1 else 0.7,
        diversity__fake=lambda n: 0.0 if n % 8 == 1 else 0.3,
        score__heldout=lambda n: 0.2 if n % 8 == 1 else 0.68,
    )
    assert told(spiky) == []
    assert told(rows(19, accuracy__fake=0.0)) == []
    # While the discriminator trains alone, it should win.
    sick = {"accuracy__real": 1.0, "accuracy__fake": 1.0, "term__bce__discriminator": 0.01}
    alone = rows(60, **sick)
    assert told(alone, pretrain_images=60 * 80) == []
    assert told(alone) != []


def test_the_first_200_steps_are_counted_from_the_end_of_pretraining() -> None:
    wins = rows(80, accuracy__fake=0.0)
    for number, row in enumerate(wins):
        row["step"] = 5 * (number + 1)
    for pretraining, first in ((0, 39), (30, 69)):  # rows
        found = told(wins, pretrain_images=wins[pretraining - 1]["images_seen"] * bool(pretraining))
        assert [number for number, _, name in found if name == "generator wins"] == [first]


def test_a_wasserstein_critic_may_tell_all_pictures_apart() -> None:
    made = rows(
        accuracy__real=1.0,
        accuracy__fake=1.0,
        term__wasserstein__discriminator=-9.0,
        term__wasserstein__generator=30.0,
        score__real=-21.0,
        score__fake=-30.0,
    )
    assert told(made, adversarial="wasserstein", critic=True) == []


@pytest.mark.parametrize(
    ("change", "symptom"),
    [
        ({"loss/generator": float("nan")}, "not finite"),
        ({"loss/discriminator": float("inf")}, "not finite"),
        ({"loss/discriminator": -2e3}, "explosion"),
        ({"score/real": 2e3}, "explosion"),
        ({"loss/generator": 900.0}, None),
        ({"term/bce/generator": float("nan")}, None),
    ],
)
def test_what_breaks_a_run(change: Row, symptom: str | None) -> None:
    before = rows(20)
    series = {
        name: [row[name] for row in before]
        for name in ("loss/discriminator", "loss/generator", "score/real", "score/fake")
    }
    error = broken({**before[-1], **change}, series, critic=True)
    assert (error and error.symptom) == symptom
    if symptom == "explosion" and "score/real" not in change:
        # Where nothing is usual yet, only beyond a million.
        assert broken({**before[-1], **change}, {}, critic=True) is None
        huge = {name: 1e3 * value for name, value in change.items()}
        assert broken({**before[-1], **huge}, {}, critic=True) is not None
    if "score/real" in change:
        assert broken({**before[-1], **change}, series, critic=False) is None


@pytest.mark.parametrize(
    ("usual", "limit"),
    [
        ([1.5] * 8, 1_500),
        ([-1.5] * 8, 1_500),
        ([0.1] * 8, 1_000),  # below 1, it counts as 1
        ([1.5] * 7, 1e6),  # too few to be usual
        ([7.0] * 150 + [1.5] * 100, 1_500),  # of the last 100
        ([1.5] * 150 + [7.0] * 51, 7_000),
    ],
)
def test_an_explosion_is_a_thousand_times_what_is_usual(usual: list[float], limit: float) -> None:
    series = {"loss/generator": usual}
    for sign in (1, -1):
        assert broken({"loss/generator": 0.999 * sign * limit}, series, critic=False) is None
        error = broken({"loss/generator": 1.001 * sign * limit}, series, critic=False)
        assert error is not None
        assert error.symptom == "explosion"


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
    assert re.search(
        r"^doctor: .* went back to 64, both learning rates halved \(0\.5 of", out, re.M
    )
    assert "doctor: went back once, so both learning rates ended at 0.5 of what was set" in out
    numbers = [row["images_seen"] for row in Stats(run).rows()]
    assert numbers == [16, 32, 48, 64, 80, 96]

    # The same by other means: nothing breaks, and after 64 images the rates are halved.
    with monkeypatch.context() as patch:
        original = TrainState.schedule

        def schedule(self: TrainState, config: RunConfig) -> None:
            original(self, config)
            for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
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
    "before the row": (run_folder.Stats, "tell", 0),
    "while a later checkpoint is removed": (shutil, "rmtree", 0),
    "in the next step": (Trainer, "step", 0),
    "two steps later": (Trainer, "step", 1),
}


@pytest.mark.parametrize(
    ("place", "first"),
    [
        *((place, False) for place in PLACES),
        ("between the state and the row", True),
        ("in the next step", True),
    ],
)
def test_killed_around_going_back(
    place: str, first: bool, tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twice, so that it goes back further, past a checkpoint; or to a beginning without one.
    settings: dict[str, Any] = {"training__images": 64 if first else 96}
    config = small(**settings, training__checkpoint_every=24)
    break_weights(monkeypatch, step=1 if first else 7, until=2)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    assert len([event for _, event in events_of(whole)]) == 2
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

        def go_back(*arguments: Any) -> None:
            if len(arguments[2]) == 2:  # the second time
                armed.append(later)
            went_back(*arguments)

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

    def go_back(*arguments: Any) -> None:
        original(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

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
    monkeypatch.setattr(doctor, "_LEAST_STEPS", 60)


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
    assert "What the doctor saw and did on the way" in text
    assert "Went back to 32 images, both learning rates halved (0.5 of what was set)." in text
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
