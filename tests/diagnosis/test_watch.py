"""The rules that are asked at every row: silence about healthy runs, each symptom told once, and limits
where the rules say."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impasto.diagnosis import Setup, Watch, replay
from impasto.diagnosis.collapse import collapse
from impasto.diagnosis.copying import copying
from impasto.diagnosis.divergence import divergence_of
from impasto.diagnosis.memorisation import memorises, overfitting_sign
from impasto.diagnosis.notes import Notes
from impasto.diagnosis.opponents import discriminator_wins, generator_wins
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW, Series, Sign

Row = dict[str, Any]
Rule = Callable[[Series, bool], Sign | None]


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
    watching = Watch(Setup(**options))
    found = []
    for number, row in enumerate(made):
        assert watching.divergence(row) is None
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
    # Who comes later, to a run that was resumed, knows what was told.
    watching = Watch(Setup())
    for number, row in enumerate(made):
        events = watching.look(row)
        if events:
            row["doctor"] = events
        if number in (first, first + 3):
            again = Watch(Setup())
            replay(again, json.loads(json.dumps(made[: number + 1])))
            assert again.lasting == [symptom]
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
    return shares(*[before] * 5, *[now] * 3)


def shares(*values: float) -> Series:
    """The series of grids whose pictures are that far apart, by real ones."""
    notes = Notes(Setup())
    for number, value in enumerate(values):
        notes.add({"images_seen": number, "diversity/fake": value, "diversity/real": 1.0})
    return notes.series


def copied(*low: float) -> Series:
    return {COPIED_LOW: low, COPIED_BY_CHANCE: [0.16] * len(low)}


@pytest.mark.parametrize(
    ("rule", "told", "just_enough", "not_enough"),
    [
        (memorises, False, steady(**memory(0.61)), steady(**memory(0.59))),
        (memorises, True, steady(**memory(0.41)), steady(**memory(0.39))),
        (overfitting_sign, False, sure(0.951), sure(0.949)),
        (overfitting_sign, True, sure(0.901), sure(0.899)),
        (overfitting_sign, False, sure(0.96, **memory(0.31)), sure(0.96, **memory(0.29))),
        (discriminator_wins, False, lopsided(0.981, 11), lopsided(0.979, 11)),
        (discriminator_wins, False, lopsided(0.99, 10.1), lopsided(0.99, 9.9)),
        (discriminator_wins, True, lopsided(0.951, 6), lopsided(0.949, 6)),
        (discriminator_wins, True, lopsided(0.99, 5.1), lopsided(0.99, 4.9)),
        (
            generator_wins,
            False,
            steady(**{"accuracy/fake": 0.099}),
            steady(**{"accuracy/fake": 0.101}),
        ),
        (
            generator_wins,
            True,
            steady(**{"accuracy/fake": 0.249}),
            steady(**{"accuracy/fake": 0.251}),
        ),
        (collapse, False, alike(0.8, 0.35), alike(0.8, 0.37)),
        (collapse, False, alike(2.0, 0.44), alike(2.0, 0.46)),  # a best above 1 counts as 1
        (collapse, True, alike(0.8, 0.47), alike(0.8, 0.49)),
        (
            collapse,
            False,
            shares(*[0.19] * 10),
            shares(*[0.21] * 10),
        ),
        (collapse, False, shares(*[0.19] * 10), shares(*[0.19] * 9)),
        (copying, False, copied(0.17, 0.17), copied(0.15, 0.17)),
        (copying, True, copied(0.15, 0.17), copied(0.17, 0.15)),
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
    error = divergence_of({**before[-1], **change}, series, critic=True)
    assert (error and error.symptom) == symptom
    if symptom == "explosion" and "score/real" not in change:
        # Where nothing is usual yet, only beyond a million.
        assert divergence_of({**before[-1], **change}, {}, critic=True) is None
        huge = {name: 1e3 * value for name, value in change.items()}
        assert divergence_of({**before[-1], **huge}, {}, critic=True) is not None
    if "score/real" in change:
        assert divergence_of({**before[-1], **change}, series, critic=False) is None


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
        assert divergence_of({"loss/generator": 0.999 * sign * limit}, series, critic=False) is None
        error = divergence_of({"loss/generator": 1.001 * sign * limit}, series, critic=False)
        assert error is not None
        assert error.symptom == "explosion"


def test_a_discriminator_without_any_loss_wins() -> None:
    values = {
        "accuracy/real": 1.0,
        "accuracy/fake": 1.0,
        "adversarial/discriminator": 0.0,
        "adversarial/generator": 5.0,
    }
    sign = discriminator_wins({name: [value] * 20 for name, value in values.items()}, False)
    assert sign is not None
    assert "its loss is 0, the generator's 5." in sign.words
