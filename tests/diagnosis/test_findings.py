"""Findings: silence about healthy runs, and every fault found at about its moment."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from impasto.diagnosis import LEAST_STEPS, Finding, Setup, diagnose
from impasto.diagnosis.classes import IGNORED_BELOW, OBVIOUS_ABOVE, Classes, class_findings
from impasto.diagnosis.spikes import spikes
from tests.helpers.report_runs import (
    FAULTS,
    INTERVAL,
    Floats,
    healthy,
    stats_rows,
    with_classes,
    with_fault,
)


def find(
    images: NDArray[np.int64],
    series: dict[str, Floats],
    *,
    critic: bool = False,
    steps: int | None = None,
    pretrain_images: int = 0,
    terms: tuple[str, ...] = ("bce",),
    classes: Sequence[Classes] = (),
    progress: float = 1.0,
) -> list[Finding]:
    """What the report finds in these curves; `steps` instead of those that the rows tell."""
    setup = Setup(terms=terms, critic=critic, pretrain_images=pretrain_images)
    rows = stats_rows(images, series)
    for number, row in enumerate(rows):
        # Enough of them from the first row on, unless told otherwise.
        row["step"] = LEAST_STEPS + number if steps is None else steps
    found = [
        *diagnose(rows, setup),
        *class_findings(
            images,
            series,
            classes,
            terms=terms,
            pretrain_images=pretrain_images,
            progress=progress,
        ),
    ]
    return sorted(found, key=lambda finding: finding.began_at_images)


def every(rows: int) -> NDArray[np.int64]:
    return (np.arange(rows) + 1) * INTERVAL


@pytest.mark.parametrize("rows", [1, 5, 12, 40, 200, 2000])
def test_a_healthy_noisy_run_has_no_findings(rows: int) -> None:
    for seed in range(30 if rows < 1000 else 3):
        assert find(*healthy(rows, seed=seed)) == [], f"seed {seed}"


def test_a_healthy_run_may_be_noisier_and_drift() -> None:
    for seed in range(30):
        assert find(*healthy(seed=seed, noise=0.18, drift=0.6)) == [], f"seed {seed}"


@pytest.mark.parametrize("rows", [80, 200, 2000])
@pytest.mark.parametrize("at", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_at_its_moment_and_no_other(fault: str, at: float, rows: int) -> None:
    for seed in range(6 if rows < 1000 else 1):
        images, series = with_fault(fault, at, rows, seed=seed)
        found = find(images, series)
        assert [finding.kind for finding in found] == [FAULTS[fault]], f"seed {seed}"
        began = found[0].began_at_images / (rows * INTERVAL)
        # Ramps are clear only once they leave the noise; jumps at once, or at the next grid.
        late, early = (0.1, max(0.1, 10 / rows)) if fault == "divergence" else (0.05, 0.03)
        assert at - early <= began <= at + late, f"seed {seed}"
        assert found[0].sentence.endswith(".")
        assert found[0].advice.endswith(".")


@given(
    seed=st.integers(0, 10_000),
    at=st.floats(0.2, 0.8),
    fault=st.sampled_from(list(FAULTS)),
)
# The generator's loss is high by chance just after the discriminator's has fallen.
@example(seed=732, at=0.375, fault="saturation")
@settings(max_examples=40)
def test_any_fault_anywhere_is_found(seed: int, at: float, fault: str) -> None:
    images, series = with_fault(fault, at, seed=seed)
    assert [finding.kind for finding in find(images, series)] == [FAULTS[fault]]


def test_moments_of_divergence_scatter_little() -> None:
    errors = []
    for seed in range(60):
        at = 0.2 + 0.01 * seed
        images, series = with_fault("divergence", at, seed=seed)
        errors.append(find(images, series)[0].began_at_images / (200 * INTERVAL) - at)
    assert abs(np.median(errors)) < 0.02
    assert np.quantile(np.abs(errors), 0.9) < 0.07


@given(
    st.lists(
        st.one_of(st.floats(-1e9, 1e9), st.just(float("nan")), st.just(float("inf"))),
        max_size=60,
    )
)
@settings(max_examples=60)
def test_no_series_makes_it_fail(values: list[float]) -> None:
    names = ("loss/discriminator", "loss/generator", "score/real", "score/fake")
    array = np.array(values, dtype=np.float64)
    series = {name: array.copy() for name in names}
    series |= {f"{name}/max": array for name in names[:2]}
    series |= {"diversity/fake": array, "diversity/real": array}
    for critic in (True, False):
        find(every(len(values)), series, critic=critic)


def test_findings_come_in_the_order_they_began() -> None:
    images, series = with_fault("saturation", 0.6)
    _, spiking = with_fault("spikes", 0.3)
    series["loss/generator"] = spiking["loss/generator"]
    found = find(images, series)
    assert [finding.kind for finding in found] == ["spikes", "discriminator wins"]


def test_nan_names_the_first_series_that_broke_and_hides_no_earlier_fault() -> None:
    images, series = with_fault("saturation", 0.4)
    series["loss/generator"][-2:] = np.inf
    series["loss/discriminator"][-1] = np.inf
    found = find(images, series)
    assert [finding.kind for finding in found] == ["discriminator wins", "not finite"]
    assert "generator's loss" in found[1].sentence
    assert found[1].began_at_images == images[-2]


def test_a_run_of_few_steps_is_checked_for_broken_numbers_only() -> None:
    images, series = with_fault("saturation", 0.4)
    assert find(images, series, steps=LEAST_STEPS - 1) == []
    series["loss/generator"][-1] = np.inf
    assert [f.kind for f in find(images, series, steps=10)] == ["not finite"]


def test_a_step_up_for_good_and_a_wild_start_are_no_spikes() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    loss[:4] = [30, 12, 5, 2]
    loss[120:] += 4
    assert spikes(every(200), loss, None, "It") is None


def test_one_great_spike_is_enough_and_a_small_one_is_not() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    loss[90] = 2.2
    assert spikes(every(200), loss, None, "It") is None
    loss[90] = 6
    found = spikes(every(200), loss, None, "It")
    assert found is not None
    assert found.began == 91 * INTERVAL
    assert "once" in found.words


def test_a_spike_that_the_mean_hides_is_found_in_the_maxima() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    largest = loss * 1.5
    largest[[50, 80, 110]] = 9
    found = spikes(every(200), loss, largest, "It")
    assert found is not None
    assert found.began == 51 * INTERVAL


def test_a_critic_that_improves_is_well_and_one_that_runs_away_is_found() -> None:
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 200)
    margin = 12 * np.exp(-3 * time) + 1 + rng.normal(0, 0.2, 200)
    # A critic's values are known up to a constant only, and that one wanders.
    offset = np.cumsum(rng.normal(0, 0.5, 200))
    series = {
        "loss/discriminator": -margin,
        "loss/generator": -offset,
        "score/real": offset + margin,
        "score/fake": offset,
    }
    assert find(every(200), series, critic=True) == []
    series["score/real"] = series["score/real"] + 40 * np.clip(time - 0.5, 0, 1)
    found = find(every(200), series, critic=True)
    assert [finding.kind for finding in found] == ["divergence"]
    assert found[0].began_at_images / (200 * INTERVAL) == pytest.approx(0.5, abs=0.08)


def test_an_idle_hinge_discriminator_is_saturated_and_an_idle_wasserstein_critic_is_not() -> None:
    def idle(margin: float, sign: float) -> list[str]:
        rng = np.random.default_rng(0)
        loss = np.abs(rng.normal(1.2, 0.1, 200))
        loss[100:] = 0.01
        loss[0] *= sign
        fake = np.full(200, -margin / 2)
        series = {"loss/discriminator": loss, "score/real": -fake, "score/fake": fake}
        return [finding.kind for finding in find(every(200), series, critic=True)]

    assert idle(margin=2.5, sign=1) == ["discriminator wins"]
    assert idle(margin=0.1, sign=1) == []
    assert idle(margin=2.5, sign=-1) == []


def test_saturation_survives_a_passing_spike_and_tells_of_recovery() -> None:
    images, series = with_fault("saturation", 0.3)
    series["score/real"][150] = 0.6
    series["score/fake"][150] = 0.4
    found = [finding for finding in find(images, series) if finding.kind == "discriminator wins"]
    assert found[0].began_at_images / (200 * INTERVAL) == pytest.approx(0.3, abs=0.05)
    assert "has passed" not in found[0].sentence

    series["score/real"][150:] = 0.7
    series["score/fake"][150:] = 0.3
    series["loss/discriminator"][150:] = 0.7
    found = [finding for finding in find(images, series) if finding.kind == "discriminator wins"]
    assert "has passed" in found[0].sentence


def collapsed(images: NDArray[np.int64], fake: Floats, real: Floats | None) -> Finding | None:
    """What is found where grids are that far apart."""
    series = (
        {"diversity/fake": fake}
        if real is None
        else {"diversity/fake": fake, "diversity/real": real}
    )
    return next(iter(find(images, series)), None)


def test_a_start_without_diversity_is_no_collapse_but_never_leaving_it_is() -> None:
    real = np.full(40, 0.2)
    rising = 0.18 * (1 - np.exp(-np.arange(40) / 4))
    assert collapsed(every(40), rising, real) is None
    found = collapsed(every(40), np.full(40, 0.01), real)
    assert found is not None
    assert found.began_at_images == 0
    assert collapsed(every(6), np.full(6, 0.01), real[:6]) is None


def test_collapse_is_found_without_real_pictures_to_compare_with() -> None:
    fake = np.full(40, 0.2)
    fake[25:] = 0.03
    found = collapsed(every(40), fake, None)
    assert found is not None
    assert found.began_at_images == 26 * INTERVAL


@pytest.mark.parametrize(("best", "limit"), [(0.8, 0.36), (2.0, 0.45)])
def test_collapse_is_below_45_percent_of_the_best(best: float, limit: float) -> None:
    """A best above 1 counts as 1."""
    for share, is_found in ((limit - 0.01, True), (limit + 0.01, False)):
        fake = np.full(40, best)
        fake[25:] = share
        assert (collapsed(every(40), fake, np.ones(40)) is not None) == is_found, share


def with_accuracies(
    at: float, *, rise: float, level: float = 0.985, rows: int = 200, seed: int = 0
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """A healthy run whose discriminator is right in `level` of the cases from `at` on, and whose
    generator's loss rises by `rise` from there to the end."""
    images, series = healthy(rows, seed=seed, drift=0)
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, rows)
    for kind in ("real", "fake"):
        share = np.where(time < at, 0.85, level)
        series[f"accuracy/{kind}"] = rng.binomial(64, share) / 64
    series["loss/generator"] += rise * np.clip((time - at) / (1 - at), 0, 1)
    return images, series


@pytest.mark.parametrize("rows", [80, 200, 2000])
@pytest.mark.parametrize("at", [0.25, 0.4, 0.6])
def test_a_discriminator_that_is_never_mistaken_while_the_loss_rises(at: float, rows: int) -> None:
    errors = []
    for seed in range(12 if rows < 1000 else 3):
        images, series = with_accuracies(at, rise=4, rows=rows, seed=seed)
        found = find(images, series)
        assert [finding.kind for finding in found] == ["divergence"], f"seed {seed}"
        errors.append(found[0].began_at_images / (rows * INTERVAL) - at)
        assert "The discriminator is hardly ever mistaken" in found[0].sentence
        assert "it takes 98% of the real" in found[0].sentence or rows < 200
    # A slow rise can be placed roughly only.
    assert abs(np.median(errors)) < 0.06
    assert np.abs(errors).max() < 0.3


def test_neither_a_right_discriminator_nor_a_rising_loss_alone_is_overfitting() -> None:
    for seed in range(20):
        assert find(*with_accuracies(0.3, rise=0, seed=seed)) == [], f"seed {seed}"
        kinds = [f.kind for f in find(*with_accuracies(0.3, rise=4, level=0.9, seed=seed))]
        assert kinds == ["divergence"], f"seed {seed}"
    images, series = with_accuracies(0.3, rise=4)
    series["accuracy/real"][-20:] = 0.8
    assert [f.kind for f in find(images, series)] == ["divergence"]
    # A critic should tell them apart.
    images, series = with_accuracies(0.3, rise=4)
    assert "divergence" not in [f.kind for f in find(images, series, critic=True)]


def test_a_loss_that_rose_early_and_stays_is_no_overfitting() -> None:
    images, series = with_accuracies(0.2, rise=0)
    series["loss/generator"] += 4 * np.clip((np.linspace(0, 1, 200) - 0.2) / 0.1, 0, 1)
    assert all("hardly ever mistaken" not in finding.sentence for finding in find(images, series))


def test_a_saturated_discriminator_is_told_once() -> None:
    images, series = with_fault("saturation", 0.5)
    series["accuracy/real"] = np.ones(200)
    series["accuracy/fake"] = np.ones(200)
    series["loss/generator"] += 4 * np.clip(np.linspace(-1, 1, 200), 0, 1)
    kinds = [finding.kind for finding in find(images, series)]
    assert sorted(kinds) == ["discriminator wins", "divergence"]


def test_a_divergence_does_not_pass_because_the_discriminator_wins() -> None:
    images, series = healthy(noise=0.02, drift=0)
    series["accuracy/real"] = series["accuracy/fake"] = np.full(200, 0.98)
    series["loss/generator"] += 0.8 * np.linspace(0, 1, 200)
    series["loss/discriminator"] *= 0.5
    series["loss/discriminator"][165:] *= 0.03
    series["score/real"][165:], series["score/fake"][165:] = 0.995, 0.004
    found = find(images, series)
    assert [finding.kind for finding in found] == ["divergence", "discriminator wins"]
    assert "passed" not in found[0].sentence


def test_advice_names_settings_of_this_objective_only() -> None:
    images, series = with_accuracies(0.4, rise=4)
    for terms, has, lacks in (
        (("categorical", "reconstruction"), "objective.categorical.flip=0.05", "objective.bce"),
        (("bce",), "objective.bce.real_labels", "categorical"),
        (("hinge",), "training.real_noise", "objective.bce"),
    ):
        advice = find(images, series, terms=terms)[0].advice
        assert has in advice
        assert lacks not in advice
        assert advice.count("training.real_noise") == 1
    images, series = with_fault("divergence", 0.5)
    assert "categorical.flip" in find(images, series, terms=("categorical",))[0].advice
    images, series = with_fault("saturation", 0.5)
    assert "categorical.flip" in find(images, series, terms=("categorical",))[0].advice


def known(
    *says: float, chance: float = 0.3, latent: float = 0.2, balanced: bool = False
) -> Classes:
    """What grids of classes say: at even moments, how much the class changes by how much the latent
    does."""
    return Classes(
        "genre",
        chance,
        (np.arange(len(says)) + 1) * 200 * INTERVAL // max(1, len(says)),
        latent * np.array(says, dtype=np.float64),
        np.full(len(says), latent),
        balanced=balanced,
    )


@pytest.mark.parametrize("rows", [40, 200, 2000])
def test_a_generator_that_ignores_classes_is_told_by_the_numbers(rows: int) -> None:
    for seed in range(10 if rows < 1000 else 3):
        images, series = healthy(rows, seed=seed)
        series = with_classes(series, real=0.85, fake=0.32, seed=seed)
        found = find(images, series, classes=[known()], terms=("bce", "auxiliary_classifier"))
        assert [finding.kind for finding in found] == ["ignored"], f"seed {seed}"
        assert not found[0].good
        assert "(by chance: 30%)" in found[0].sentence
        assert "objective.auxiliary_classifier.weight=5" in found[0].advice
        assert "training.pretrain_images" in found[0].advice
        assert "training.balance=genre" in found[0].advice


def test_that_classes_are_ignored_is_said_in_the_second_half_only() -> None:
    images, series = healthy()
    ignored = with_classes(dict(series), real=0.9, fake=0.3)
    assert find(images, ignored, classes=[known(0.1)], progress=0.49) == []
    found = find(images, ignored, classes=[known(0.1)], progress=0.5)
    assert [finding.kind for finding in found] == ["ignored"]
    learnt = with_classes(dict(series), real=0.9, fake=0.9)
    found = find(images, learnt, classes=[known(1.0)], progress=0.2)
    assert [finding.kind for finding in found] == ["learnt"]


def test_classes_that_both_know_are_learnt_and_what_lies_between_is_no_news() -> None:
    for seed in range(10):
        images, series = healthy(seed=seed)
        learnt = with_classes(dict(series), real=0.9, fake=0.85, seed=seed)
        found = find(images, learnt, classes=[known(0.1, 0.5, 0.9)])
        assert [(finding.kind, finding.good) for finding in found] == [("learnt", True)]
        # The accuracy passes the half of the way from chance at about 0.3 of the run.
        assert 0.15 < found[0].began_at_images / (200 * INTERVAL) < 0.45, f"seed {seed}"
        assert "0.9 times" in found[0].sentence
        for real, fake in ((0.9, 0.5), (0.5, 0.32), (0.35, 0.3)):
            between = with_classes(dict(series), real=real, fake=fake, seed=seed)
            assert find(images, between, classes=[known(0.5)]) == [], f"seed {seed}"


def test_where_the_commonest_class_is_most_pictures_its_share_is_no_skill() -> None:
    images, series = healthy()
    series = with_classes(series, real=0.82, fake=0.82, start=0.8)
    assert find(images, series, classes=[known(chance=0.8)]) == []


@pytest.mark.parametrize(
    ("say", "kinds"),
    [
        (0.0, ["ignored"]),
        (IGNORED_BELOW - 0.01, ["ignored"]),
        (IGNORED_BELOW + 0.01, []),
        (OBVIOUS_ABOVE - 0.01, []),
        (OBVIOUS_ABOVE + 0.01, ["learnt"]),
        (3.0, ["learnt"]),
    ],
)
def test_without_a_classifier_the_eye_alone_decides(say: float, kinds: list[str]) -> None:
    images, series = healthy()
    found = find(images, series, classes=[known(0.45, say)])
    assert [finding.kind for finding in found] == kinds
    assert all(finding.began_at_images == images[-1] for finding in found)


def test_classes_that_only_the_discriminator_sees_are_not_learnt() -> None:
    images, series = healthy()
    series = with_classes(series, real=0.9, fake=0.95)
    found = find(images, series, classes=[known(0.1, 0.1, balanced=True)])
    assert [(finding.kind, finding.good) for finding in found] == [("ignored", False)]
    assert "differences that the eye does not see" in found[0].sentence
    assert found[0].began_at_images == images[-1] // 2
    assert "training.balance" not in found[0].advice


def test_both_witnesses_are_heard_where_they_agree() -> None:
    images, series = healthy()
    series = with_classes(series, real=0.9, fake=0.3)
    found = find(images, series, classes=[known(0.1, 0.1)])
    assert len(found) == 1
    assert "0.1 times as much" in found[0].sentence
    assert "; and the discriminator names" in found[0].sentence


def test_pictures_that_are_still_alike_say_nothing_of_classes() -> None:
    images, series = healthy()
    assert find(images, series, classes=[known(0.1, 5.0, latent=0.019)]) == []
    assert find(images, series, classes=[known()]) == []
    few, short = healthy(11)
    assert find(few, with_classes(short, real=0.9, fake=0.3), classes=[known()]) == []


def test_while_the_discriminator_trains_alone_only_broken_numbers_count() -> None:
    images, series = healthy(200)
    # It wins, as it should, and its margin grows; the generator's pictures stay as they are.
    series["score/real"][:80], series["score/fake"][:80] = 0.999, 0.001
    series["loss/discriminator"][:80] = 0.001
    series["diversity/fake"][:80] = np.where(np.isnan(series["diversity/fake"][:80]), np.nan, 0.0)
    series["loss/generator"][:80] = np.nan
    assert "discriminator wins" in [finding.kind for finding in find(images, series)]
    assert find(images, series, pretrain_images=80 * INTERVAL) == []
    series["loss/discriminator"][40] = np.inf
    found = find(images, series, pretrain_images=80 * INTERVAL)
    assert [finding.kind for finding in found] == ["not finite"]


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=60))
@settings(max_examples=60)
def test_no_accuracy_makes_it_fail(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    names = ("accuracy/real", "accuracy/fake", "accuracy/genre/real", "accuracy/genre/fake")
    series = dict.fromkeys((*names, "loss/generator", "loss/discriminator"), array)
    grids = Classes("genre", 0.5, every(len(array)), array, array[::-1])
    find(every(len(array)), series, classes=[grids])
