"""Metrics against values worked out by hand, against their definitions, and on known cases."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import impasto.metrics
from impasto.errors import ImpastoError
from impasto.evaluation.score_kinds import KINDS, base_of
from impasto.metrics import (
    STUDENT,
    Moments,
    Sample,
    Score,
    _jackknife,
    metric_module,
    prdc,
    scores,
)
from impasto.metrics.diversity import mean_distance
from impasto.metrics.frechet import _intercept, frechet_distance
from impasto.metrics.inception_score import inception_score, inception_score_splits
from impasto.registry import module_names

METRICS = module_names("metrics")

NAMES = {
    "diversity": ["diversity"],
    "frechet": ["fd", "fd-infinity"],
    "inception_score": ["is"],
    "kid": ["kid"],
    "prdc": ["precision", "recall", "density", "coverage"],
}


def normal(count: int, width: int, seed: int, spread: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * spread + shift


def sample(features: Tensor) -> Sample:
    """Features that are their own logits."""
    return Sample(features, features)


def values(metric: str, fake: Tensor, real: Tensor) -> dict[str, float]:
    """Every score of the metric that has a value."""
    found = scores(metric, sample(fake), sample(real))
    return {score.name: score.value for score in found if score.value is not None}


def known(score: Score) -> tuple[float, float, float]:
    """Value and interval of a score that has both."""
    assert score.value is not None, score
    assert score.low is not None, score
    assert score.high is not None, score
    return score.value, score.low, score.high


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers)[:, None]


def test_frechet_distance_by_hand() -> None:
    one = torch.ones(1, dtype=torch.float64)
    # (0 - 3)^2 + 1 + 4 - 2 sqrt(1 * 4)
    assert frechet_distance(0 * one, one.diag(), 3 * one, 4 * one.diag()) == pytest.approx(10)
    mean1, mean2 = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    wide, wider = torch.tensor([1.0, 4.0]).diag(), torch.tensor([9.0, 16.0]).diag()
    # 25 + (1 + 9 - 2 * 3) + (4 + 16 - 2 * 8)
    assert frechet_distance(mean1, wide, mean2, wider) == pytest.approx(33)
    # Turned by 90 degrees, C1 C2 is diag(4, 4) here: 10 - 2 * (2 + 2)
    assert frechet_distance(mean1, wide, mean1, torch.tensor([4.0, 1.0]).diag()) == pytest.approx(2)
    # Means 1 and 7, variances 2 and 8.
    assert values("frechet", column(0, 2), column(5, 9))["fd"] == pytest.approx(38)


def test_kernel_distance_by_hand() -> None:
    # k(0, 1) + k(1, 2) - 2 * (k(0, 1) + k(0, 2) + k(1, 1) + k(1, 2)) / 4, with k = (xy + 1)^3
    expected = 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4
    assert values("kid", column(0, 1), column(1, 2))["kid"] == pytest.approx(expected)
    # In two dimensions: k(x, x') = (0/2 + 1)^3, k(y, y') = (8/2 + 1)^3, across (2/2 + 1)^3
    fake, real = torch.eye(2), torch.full((2, 2), 2.0)
    assert values("kid", fake, real)["kid"] == pytest.approx(1 + 125 - 2 * 8)


def test_inception_score_by_hand() -> None:
    assert inception_score(torch.eye(5).repeat(3, 1)) == pytest.approx(5)
    assert inception_score(torch.tensor([[0.2, 0.3, 0.5]] * 4)) == pytest.approx(1)
    # Two sure pictures of one class and one of the other: exp of the entropy of (2/3, 1/3).
    sure = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert inception_score(sure) == pytest.approx(math.exp(entropy))
    # One sure, one not at all, q = (3/4, 1/4): KL(p, q) is log 4/3, and half of log 4/3.
    unsure = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert inception_score(unsure) == pytest.approx((4 / 3) ** 0.75)
    assert values("inception_score", 1000 * torch.eye(4), torch.eye(4)) == {"is": pytest.approx(4)}
    # In their order each half holds one class; dealt out, both.
    halves = torch.eye(2).repeat_interleave(2, 0)
    assert list(inception_score_splits(halves, 2)) == pytest.approx([1, 0])
    dealt = inception_score_splits(halves, 2, torch.tensor([0, 2, 1, 3]))
    assert list(dealt) == pytest.approx([2, 0])
    three_and_one = inception_score_splits(torch.eye(2)[[0, 0, 0, 1]], 2)
    assert list(three_and_one) == pytest.approx([1.5, 0.5])


@pytest.mark.parametrize("freedom", range(1, len(STUDENT) + 1))
def test_students_quantiles(freedom: int) -> None:
    """Of the density, 95% lie within them. With x = sqrt(n) tan(a) it is that of cos(a)^(n - 1)."""
    angles = torch.linspace(-math.pi / 2, math.pi / 2, 100_001, dtype=torch.float64)
    density = angles.cos() ** (freedom - 1)
    within = angles.abs() <= math.atan(STUDENT[freedom - 1] / math.sqrt(freedom))
    assert (density * within).sum() / density.sum() == pytest.approx(0.95, abs=1e-4)


def test_the_interval_of_a_mean_is_the_usual_one() -> None:
    """Blocks of one picture: t s / sqrt(n)."""
    told = torch.tensor([float(n * n % 17) for n in range(20)])
    halves = _jackknife(lambda keep: {"mean": float(told[keep].mean())}, 20, 1, seed=3)
    assert halves == {"mean": pytest.approx(2.093 * float(told.std()) / math.sqrt(20), rel=1e-5)}
    assert _jackknife(lambda keep: {"mean": float(told[keep].mean())}, 20, 20, seed=3) == {}
    # Two pictures that are 3 apart: 12.706 times half of it.
    two = torch.tensor([1.0, 4.0])
    halves = _jackknife(lambda keep: {"mean": float(two[keep].mean())}, 2, 1, seed=3)
    assert halves == {"mean": pytest.approx(12.706 * 3 / 2)}
    assert _jackknife(lambda keep: {"mean": float(two[keep].mean())}, 2, 2, seed=3) == {}
    assert _jackknife(lambda keep: {"mean": float(two[keep].mean())}, 1, 0, seed=3) == {}


def test_a_line_ends_where_least_squares_say_so() -> None:
    """Through (1, 1), (2, 2), (3, 4), (4, 4): slope 1.1, and squares of 0.7 left over by two degrees
    of freedom."""
    end, half = _intercept([1, 2, 3, 4], [1, 2, 4, 4])
    assert end == pytest.approx(0, abs=1e-12)
    assert half == pytest.approx(4.303 * math.sqrt(0.7 / 2 * (1 / 4 + 2.5**2 / 5)))


def test_precision_recall_density_coverage_by_hand() -> None:
    real = column(0, 2, 6, 7, 13)  # balls reach 2, 2, 1, 1, 6
    fake = column(1, 6.5, 21, 23)  # balls reach 5.5, 5.5, 2, 2
    everything = torch.arange(len(fake))
    nearest = partial(prdc.prepare, sample(fake), sample(real))
    assert nearest(1)(everything) == {
        "precision": pytest.approx(2 / 4),  # 1 and 6.5, each in two balls
        "recall": pytest.approx(4 / 5),  # all but 13, which is 6.5 from the nearest
        "density": pytest.approx(4 / 4),
        "coverage": pytest.approx(4 / 5),
    }
    # With k = 2 real balls reach 6, 4, 4, 5, 7: two of them hold 1, three 6.5, none 21. Generated
    # ones reach 20, 14.5, 14.5, 16.5.
    assert nearest(2)(everything) == {
        "precision": pytest.approx(2 / 4),
        "recall": pytest.approx(5 / 5),
        "density": pytest.approx((2 + 3) / 4 / 2),
        "coverage": pytest.approx(5 / 5),
    }


def test_diversity_by_hand() -> None:
    assert mean_distance(column(0, 1, 3)) == pytest.approx(2)
    assert values("diversity", column(0, 1, 3), column(0, 4))["diversity"] == pytest.approx(0.5)
    same = torch.ones(30, 4)
    assert values("diversity", same, normal(30, 4, 0))["diversity"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("fakes", "reals"), [(40, 50), (5, 50), (40, 6), (5, 6), (9, 8)])
def test_frechet_distance_equals_its_formula(fakes: int, reals: int) -> None:
    fake, real = normal(fakes, 8, 1, 1.3, 0.2), normal(reals, 8, 2)
    one, other = Moments.of(fake), Moments.of(real)
    eigenvalues = torch.linalg.eigvals(one.covariance @ other.covariance)
    expected = (
        (one.mean - other.mean).square().sum()
        + one.covariance.trace()
        + other.covariance.trace()
        - 2 * eigenvalues.sqrt().real.sum()
    )
    found = values("frechet", fake, real)["fd"]
    assert found == pytest.approx(float(expected), rel=1e-6)
    of_moments = frechet_distance(one.mean, one.covariance, other.mean, other.covariance)
    assert of_moments == pytest.approx(found, rel=1e-6)


def test_frechet_distance_with_singular_covariances() -> None:
    """More pictures than dimensions, yet singular: dimensions that are dead or copies of others."""
    real = normal(60, 6, 1)
    real = torch.cat([real, real[:, :2], torch.zeros(60, 2)], 1)
    fake = normal(50, 10, 2)
    turned = fake @ torch.linalg.qr(normal(10, 10, 3)).Q
    for one in (fake, turned, real):
        assert values("frechet", one, one)["fd"] == pytest.approx(0, abs=1e-5)
        a, b = Moments.of(one), Moments.of(real)
        forward = frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
        back = frechet_distance(b.mean, b.covariance, a.mean, a.covariance)
        assert forward == pytest.approx(back, rel=1e-6, abs=1e-5)
        assert forward == pytest.approx(values("frechet", one, real)["fd"], rel=1e-6, abs=1e-5)
    still = torch.zeros(3, 3)
    assert frechet_distance(torch.zeros(3), still, torch.ones(3), still) == 3
    alike, varied = torch.ones(30, 4), normal(60, 4, 4)
    expected = (varied.mean(0) - 1).square().sum() + Moments.of(varied).covariance.trace()
    for one, other in ((alike, varied), (varied, alike)):
        assert values("frechet", one, other)["fd"] == pytest.approx(float(expected), rel=1e-6)
    assert values("frechet", alike, alike)["fd"] == 0


def test_moments_join_and_stand_for_pictures_that_are_gone() -> None:
    fake, real = normal(300, 6, 1, 1.2), normal(200, 6, 2)
    joined = Moments.of(fake[:7]).joined(Moments.of(fake[7:8])).joined(Moments.of(fake[8:]))
    whole = Moments.of(fake)
    torch.testing.assert_close(whole.covariance, torch.cov(fake.T.double()))
    torch.testing.assert_close(joined.mean, whole.mean)
    torch.testing.assert_close(joined.covariance, whole.covariance)
    assert joined.count == 300
    expected = scores("frechet", Sample(fake, None), Sample(real, None))[0]
    kept = Sample(fake[:100], None, joined), Sample(real[:20], None, Moments.of(real))
    found = scores("frechet", *kept)[0]
    assert found.value == pytest.approx(expected.value)
    assert known(found)[1] < known(found)[0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("fakes", "reals", "scale"), [(60, 80, 1.0), (60, 8, 1.0), (12, 80, 1.0), (60, 80, 0.01)]
)
def test_a_subset_scores_like_a_sample_of_its_own(
    metric: str, fakes: int, reals: int, scale: float
) -> None:
    fake = sample(scale * normal(fakes, 10, 1, 1.1))
    real = sample(scale * normal(reals, 10, 2))
    prepare = metric_module(metric).prepare
    prepared: Callable[[Tensor], dict[str, float]] = prepare(fake, real)
    order = torch.randperm(fakes, generator=torch.Generator().manual_seed(3))
    for count in (fakes, fakes - 3, fakes * 2 // 3, 7):
        keep = order[:count]
        alone = prepare(sample(fake.features[keep]), real)(torch.arange(count))
        assert prepared(keep) == pytest.approx(alone, rel=1e-7, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(8, 40), st.integers(8, 40))
def test_the_order_of_pictures_and_the_axes_do_not_matter(
    seed: int, fakes: int, reals: int
) -> None:
    fake, real = normal(fakes, 6, seed, 1.2), normal(reals, 6, seed + 1)
    mixed = torch.Generator().manual_seed(seed)
    other_fake = fake[torch.randperm(fakes, generator=mixed)]
    other_real = real[torch.randperm(reals, generator=mixed)]
    for metric in METRICS:
        before, after = values(metric, fake, real), values(metric, other_fake, other_real)
        for name in before.keys() - {"fd-infinity"}:
            assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9)
    turn = torch.linalg.qr(normal(6, 6, seed).double()).Q
    turned = values("frechet", fake.double() @ turn, real.double() @ turn)["fd"]
    assert turned == pytest.approx(values("frechet", fake, real)["fd"], rel=1e-6)


def test_each_score_notices_what_it_should() -> None:
    """Eight clusters: noise moves quality, left-out clusters variety, and more of it more."""
    centres = 4 * normal(8, 16, 0)

    def pictures(clusters: int, seed: int, noise: float = 0.0) -> Tensor:
        of = torch.arange(320) % clusters
        return centres[of] + normal(320, 16, seed) + noise * normal(320, 16, seed + 50)

    def all_scores(fake: Tensor) -> dict[str, float]:
        of = ("frechet", "kid", "prdc", "diversity")
        return {name: v for metric in of for name, v in values(metric, fake, real).items()}

    real = pictures(8, 1)
    like, *noisy = [all_scores(pictures(8, 2, noise)) for noise in (0.0, 1.0, 2.0, 4.0)]
    fewer = [all_scores(pictures(clusters, 2)) for clusters in (6, 4, 2, 1)]

    def rises(name: str, cases: list[dict[str, float]]) -> bool:
        return all(a[name] < b[name] for a, b in pairwise([like, *cases]))

    def falls(name: str, cases: list[dict[str, float]]) -> bool:
        return all(a[name] > b[name] for a, b in pairwise([like, *cases]))

    for name in ("fd", "kid"):
        assert rises(name, noisy), name
        assert rises(name, fewer), name
    for name in ("precision", "density", "coverage"):
        assert falls(name, noisy[:2]), name
    for name in ("recall", "coverage", "diversity"):
        assert falls(name, fewer), name
    assert min(case["precision"] for case in fewer) > 0.8
    assert rises("diversity", noisy)
    assert abs(like["diversity"] - 1) < 0.05
    copies = all_scores(real)
    assert copies["fd"] == pytest.approx(0, abs=1e-5)
    assert copies["precision"] == copies["recall"] == copies["coverage"] == 1


def test_the_line_to_infinity_ends_near_the_distance() -> None:
    """Fakes of spread 1.2 and shift 0.1 against reference moments that are exact."""
    exact = Moments(10**6, torch.zeros(16).double(), torch.eye(16).double())
    real = Sample(normal(50, 16, 0), None, exact)
    true = 16 * (0.1**2 + 0.2**2)
    held = 0
    for seed in range(20):
        fake = Sample(normal(16 * 12, 16, 100 + seed, 1.2, 0.1), None)
        fd, infinity = scores("frechet", fake, real)
        value, low, high = known(infinity)
        assert abs(value - true) < abs(known(fd)[0] - true)
        held += low <= true <= high
    assert held >= 17
    few = scores("frechet", Sample(normal(45, 160, 1), None), Sample(normal(400, 160, 2), None))
    assert "straight line" in str(few[1].warning)


def test_the_line_to_infinity_is_of_the_pictures_whose_features_are_kept() -> None:
    real = Sample(normal(300, 8, 0), None)
    fake, elsewhere = normal(100, 8, 1), normal(1000, 8, 2, 1.0, 5.0)
    plain = scores("frechet", Sample(fake, None), real)
    more = scores("frechet", Sample(fake, None, Moments.of(elsewhere)), real)
    assert known(more[0])[0] > 100
    assert known(more[1])[0] == known(plain[1])[0]


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_hold_what_other_seeds_give(metric: str) -> None:
    """Of 60 draws of generated pictures at least 85% of the 95% intervals hold the expectation."""
    real = sample(normal(150, 6, 0))
    drawn = [scores(metric, sample(normal(100, 6, 1 + s, 1.3)), real, seed=s) for s in range(60)]
    for place, name in enumerate(NAMES[metric]):
        rows = [known(row[place]) for row in drawn]
        expected = sum(value for value, _, _ in rows) / len(rows)
        held = sum(low <= expected <= high for _, low, high in rows)
        assert held >= 51, f"{name}: {held} of 60"


def test_a_share_of_all_is_not_certain() -> None:
    real = normal(200, 4, 0)
    precision = scores("prdc", sample(real[:60] * 0.5), sample(real))[0]
    assert (precision.value, precision.high) == (1, 1)
    assert precision.low == pytest.approx(1 - 3 / 60)
    # Nor are answers that are the same but for rounding.
    logits = 1e-6 * normal(60, 4, 1)
    (score,) = scores("inception_score", Sample(logits, logits), None)
    assert score.value == pytest.approx(1, abs=1e-9)
    assert score.high == pytest.approx(1 + 3 / 60)


@pytest.mark.parametrize("metric", METRICS)
def test_few_pictures_have_no_nan(metric: str) -> None:
    real = normal(30, 5, 0)
    for fakes in range(1, 25):
        for fake in (normal(fakes, 5, 1), torch.ones(fakes, 5)):
            for reals in (real, real[:1], torch.ones(30, 5)):
                found = scores(metric, sample(fake), sample(reals))
                assert [score.name for score in found] == NAMES[metric]
                for score in found:
                    assert_sound(score)
                    if fakes == 1:
                        assert score.value is None


def assert_sound(score: Score) -> None:
    """No NaN; an interval holds its value; where something is missing, a warning says why."""
    given = [v for v in (score.value, score.low, score.high) if v is not None]
    assert all(math.isfinite(v) for v in given)
    if score.low is None or score.high is None or score.value is None:
        assert score.low is score.high is None
        assert score.warning
    else:
        assert score.low <= score.value <= score.high


def test_many_pictures_are_chosen_among(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = normal(90, 5, 1), normal(80, 5, 2)
    for metric in ("kid", "prdc", "diversity"):
        monkeypatch.setattr(metric_module(metric), "LIMIT", 50)
        found = scores(metric, sample(fake), sample(real), seed=1)
        assert found == scores(metric, sample(fake), sample(real), seed=1)
        assert found != scores(metric, sample(fake), sample(real), seed=2)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = normal(40, 5, 1), normal(30, 5, 2)
    before = [values(metric, fake, real) for metric in ("kid", "prdc", "diversity")]
    monkeypatch.setattr(impasto.metrics._pairs, "ROWS", 7)
    after = [values(metric, fake, real) for metric in ("kid", "prdc", "diversity")]
    assert after == [pytest.approx(row) for row in before]


def test_what_cannot_be_scored_is_said_in_one_line() -> None:
    real = sample(normal(20, 4, 0))
    broken = normal(20, 4, 1)
    broken[3, 2] = math.nan
    broken[5, 1] = math.inf
    cases: list[tuple[str, Sample, Sample | None, str]] = [
        ("fid", real, real, "unknown metric 'fid'; there is diversity, frechet,"),
        ("frechet", sample(broken), real, "2 generated pictures of 20 are NaN or infinite"),
        ("kid", real, sample(broken), "2 real pictures of 20"),
        ("prdc", sample(normal(20, 3, 0)), real, "3 wide and those of real ones 4"),
        ("kid", sample(torch.zeros(0, 4)), real, "no generated picture"),
        ("kid", real, sample(torch.zeros(0, 4)), "no real picture"),
        ("kid", sample(torch.zeros(4)), real, "a row a picture"),
        ("kid", real, None, "compares with real pictures"),
        ("inception_score", Sample(broken, None), real, "needs logits"),
    ]
    for metric, fake, against, message in cases:
        with pytest.raises(ImpastoError, match=message) as caught:
            scores(metric, fake, against)
        assert "\n" not in str(caught.value)
    assert scores("inception_score", real, None)[0].value is not None


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_says_what_it_needs_and_warns(metric: str) -> None:
    module = metric_module(metric)
    assert set(module.NEEDS) <= {"features", "logits"}
    assert list(module.ranges(8)) == NAMES[metric]
    assert module.warning(100_000, 100_000, 2048) is None
    sentence = module.warning(10, 10, 2048)
    assert "10" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("metric", "fakes", "reals"),
    [
        ("inception_score", 40, 1000),
        ("prdc", 100, 100),
        ("diversity", 20, 20),
        ("kid", 50, 50),
        ("frechet", 9, 9),
    ],
)
def test_metrics_warn_of_fewer_pictures_than_their_limit(
    metric: str, fakes: int, reals: int
) -> None:
    """Of 8 features, or classes."""
    warning = metric_module(metric).warning
    assert warning(fakes, reals, 8) is None
    assert warning(fakes - 1, reals, 8) is not None


def test_every_score_has_its_title_and_its_better_end() -> None:
    """A score that is not in the list would be called better the higher it is."""
    known = {base_of(name) for names in NAMES.values() for name in names}
    assert known <= set(KINDS)


def test_every_metric_is_in_the_lists_here() -> None:
    folder = Path(impasto.metrics.__file__).parent
    assert list(NAMES) == METRICS
    assert all((folder / f"{name}.py").exists() for name in METRICS)
