"""Findings: silence about healthy runs, and every fault found at about its moment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from impasto.report import findings
from impasto.report.findings import find
from tests.report_runs import INTERVAL, healthy, with_fault

FAULTS = ("divergence", "spikes", "saturation", "collapse", "nan")


def every(rows: int) -> NDArray[np.int64]:
    return (np.arange(rows) + 1) * INTERVAL


@pytest.mark.parametrize("rows", [1, 5, 12, 40, 200, 2000])
def test_a_healthy_noisy_run_has_no_findings(rows: int) -> None:
    for seed in range(30 if rows < 1000 else 8):
        assert find(*healthy(rows, seed=seed)) == [], f"seed {seed}"


def test_a_healthy_run_may_be_noisier_and_drift() -> None:
    for seed in range(30):
        assert find(*healthy(seed=seed, noise=0.18, drift=0.6)) == [], f"seed {seed}"


@pytest.mark.parametrize("rows", [80, 200, 2000])
@pytest.mark.parametrize("at", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_at_its_moment_and_no_other(fault: str, at: float, rows: int) -> None:
    for seed in range(6 if rows < 1000 else 2):
        images, series = with_fault(fault, at, rows, seed=seed)
        found = find(images, series)
        assert [finding.kind for finding in found] == [fault], f"seed {seed}"
        began = found[0].began_at_images / (rows * INTERVAL)
        # Ramps are clear only once they leave the noise; jumps at once, or at the next grid.
        late, early = (0.1, max(0.1, 10 / rows)) if fault == "divergence" else (0.05, 0.03)
        assert at - early <= began <= at + late, f"seed {seed}"
        assert found[0].sentence.endswith(".")
        assert found[0].advice.endswith(".")


@given(
    seed=st.integers(0, 10_000),
    at=st.floats(0.2, 0.8),
    fault=st.sampled_from(FAULTS),
)
@settings(max_examples=40, deadline=None)
def test_any_fault_anywhere_is_found(seed: int, at: float, fault: str) -> None:
    images, series = with_fault(fault, at, seed=seed)
    assert [finding.kind for finding in find(images, series)] == [fault]


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
@settings(max_examples=60, deadline=None)
def test_no_series_makes_it_fail(values: list[float]) -> None:
    names = ("loss/discriminator", "loss/generator", "score/real", "score/fake")
    array = np.array(values, dtype=np.float64)
    series = {name: array.copy() for name in names}
    series |= {f"{name}/max": array for name in names[:2]}
    series |= {"diversity/fake": array, "diversity/real": array}
    for probability in (True, False):
        find(every(len(values)), series, probability=probability)


def test_findings_come_in_the_order_they_began() -> None:
    images, series = with_fault("saturation", 0.6)
    _, spiking = with_fault("spikes", 0.3)
    series["loss/generator"] = spiking["loss/generator"]
    found = find(images, series)
    assert [finding.kind for finding in found] == ["spikes", "saturation"]


def test_nan_names_the_first_series_that_broke_and_hides_no_earlier_fault() -> None:
    images, series = with_fault("saturation", 0.4)
    series["loss/generator"][-2:] = np.inf
    series["loss/discriminator"][-1] = np.inf
    found = find(images, series)
    assert [finding.kind for finding in found] == ["saturation", "nan"]
    assert "generator's loss" in found[1].sentence
    assert found[1].began_at_images == images[-2]


def test_a_run_of_few_steps_is_checked_for_broken_numbers_only() -> None:
    images, series = with_fault("saturation", 0.4)
    assert find(images, series, steps=findings.LEAST_STEPS - 1) == []
    series["loss/generator"][-1] = np.inf
    assert [f.kind for f in find(images, series, steps=10)] == ["nan"]


def test_a_step_up_for_good_and_a_wild_start_are_no_spikes() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    loss[:4] = [30, 12, 5, 2]
    loss[120:] += 4
    assert findings.spikes(every(200), loss, None, "It") is None


def test_one_great_spike_is_enough_and_a_small_one_is_not() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    loss[90] = 2.2
    assert findings.spikes(every(200), loss, None, "It") is None
    loss[90] = 6
    found = findings.spikes(every(200), loss, None, "It")
    assert found is not None
    assert found.began_at_images == 91 * INTERVAL
    assert "once" in found.sentence


def test_a_spike_that_the_mean_hides_is_found_in_the_maxima() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + rng.normal(0, 0.05, 200)
    largest = loss * 1.5
    largest[[50, 80, 110]] = 9
    found = findings.spikes(every(200), loss, largest, "It")
    assert found is not None
    assert found.began_at_images == 51 * INTERVAL


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
    assert find(every(200), series, probability=False) == []
    series["score/real"] = series["score/real"] + 40 * np.clip(time - 0.5, 0, 1)
    found = find(every(200), series, probability=False)
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
        return [finding.kind for finding in find(every(200), series, probability=False)]

    assert idle(margin=2.5, sign=1) == ["saturation"]
    assert idle(margin=0.1, sign=1) == []
    assert idle(margin=2.5, sign=-1) == []


def test_saturation_survives_a_passing_spike_and_tells_of_recovery() -> None:
    images, series = with_fault("saturation", 0.3)
    series["score/real"][150] = 0.6
    series["score/fake"][150] = 0.4
    found = [finding for finding in find(images, series) if finding.kind == "saturation"]
    assert found[0].began_at_images / (200 * INTERVAL) == pytest.approx(0.3, abs=0.05)
    assert "recovered" not in found[0].sentence

    series["score/real"][150:] = 0.7
    series["score/fake"][150:] = 0.3
    series["loss/discriminator"][150:] = 0.7
    found = [finding for finding in find(images, series) if finding.kind == "saturation"]
    assert "recovered" in found[0].sentence


def test_a_start_without_diversity_is_no_collapse_but_never_leaving_it_is() -> None:
    real = np.full(40, 0.2)
    rising = 0.18 * (1 - np.exp(-np.arange(40) / 4))
    assert findings.collapse(every(40), rising, real) is None
    found = findings.collapse(every(40), np.full(40, 0.01), real)
    assert found is not None
    assert found.began_at_images == INTERVAL
    assert findings.collapse(every(6), np.full(6, 0.01), real[:6]) is None


def test_collapse_is_found_without_real_pictures_to_compare_with() -> None:
    fake = np.full(40, 0.2)
    fake[25:] = 0.03
    found = findings.collapse(every(40), fake, None)
    assert found is not None
    assert found.began_at_images == 26 * INTERVAL
