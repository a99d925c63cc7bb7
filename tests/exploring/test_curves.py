"""Curves through latents: their ends, loops, norms and what lies between, for any points."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.exploring.curves import Around, Through, between, eased

SEEDS = st.integers(0, 2**31)
SHARES = st.floats(0, 1)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def position(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


CURVES = st.fixed_dictionaries(
    {"loop": st.booleans(), "spline": st.booleans(), "easing": st.booleans()}
)
SHAPES = st.sampled_from([(2,), (3,), (16,), (4, 8)])


def test_half_a_quarter_turn_by_hand() -> None:
    # From (2, 0) to (0, 4): at a third, 30 degrees, and the norm 2 + 2 / 3.
    third = between(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), 1 / 3)
    norm = 2 + 2 / 3
    assert third.tolist() == pytest.approx([norm * math.cos(math.pi / 6), norm / 2])
    straight = between(
        torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), 1 / 4, distribution="uniform"
    )
    assert straight.tolist() == [1.5, 1.0]


@given(seed=SEEDS, share=SHARES, size=st.integers(2, 40))
def test_between_is_the_textbook_formula(seed: int, share: float, size: int) -> None:
    """Shoemake's formula, of sines of the angle, which this one is not computed by."""
    start, end = normal(seed, 2, size).double()
    angle = torch.acos((start @ end / start.norm() / end.norm()).clamp(-1, 1))
    weights = ((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()
    expected = weights[0] * start / start.norm() + weights[1] * end / end.norm()
    expected = expected * ((1 - share) * start.norm() + share * end.norm())
    found = between(start.float(), end.float(), share)
    assert torch.allclose(found.double(), expected, atol=1e-4)


@given(seed=SEEDS, count=st.integers(2, 5), shape=SHAPES, how=CURVES)
def test_a_curve_has_exactly_its_points(
    seed: int, count: int, shape: tuple[int, ...], how: dict[str, Any]
) -> None:
    for points, kind in (
        (normal(seed, count, *shape), "normal"),
        (uniform(seed, count, *shape), "uniform"),
    ):
        curve = Through(points, distribution=kind, **how)  # type: ignore[arg-type]
        assert torch.equal(curve(position(0))[0], points[0])
        last = points[0] if how["loop"] else points[-1]
        assert torch.equal(curve(position(1))[0], last)
        segments = count if how["loop"] else count - 1
        if segments in (1, 2, 4):  # where the position of each point is a number of binary digits
            places = torch.arange(segments, dtype=torch.float64) / segments
            assert torch.equal(curve(places), points[:segments])


@given(seed=SEEDS, count=st.integers(2, 5), shape=SHAPES, how=CURVES, where=SHARES)
def test_curves_of_normal_latents_keep_the_norm(
    seed: int, count: int, shape: tuple[int, ...], how: dict[str, Any], where: float
) -> None:
    points = torch.nn.functional.normalize(normal(seed, count, *shape), dim=-1) * 11
    found = Through(points, distribution="normal", **how)(position(where))
    assert torch.allclose(found.norm(dim=-1), torch.tensor(11.0), rtol=1e-5)


@given(seed=SEEDS, count=st.integers(2, 5), how=CURVES, where=SHARES)
def test_curves_of_uniform_latents_stay_in_range(
    seed: int, count: int, how: dict[str, Any], where: float
) -> None:
    found = Through(uniform(seed, count, 8), distribution="uniform", **how)(position(where))
    assert found.abs().max() <= 1


@given(seed=SEEDS, count=st.integers(2, 5), how=CURVES, where=st.floats(0, 0.999))
def test_curves_have_no_jumps(seed: int, count: int, how: dict[str, Any], where: float) -> None:
    step = 1e-5
    for points, kind in (
        (normal(seed, count, 16), "normal"),
        (uniform(seed, count, 16), "uniform"),
    ):
        curve = Through(points, distribution=kind, **how)  # type: ignore[arg-type]
        moved = (curve(position(where + step)) - curve(position(where))).norm()
        # A half turn of the longest point in each of the segments, at three times the even speed.
        assert moved <= 3 * count * math.pi * points.norm(dim=1).max() * step + 1e-4


def test_a_spline_has_no_corners_and_straight_ways_have() -> None:
    points = normal(1, 5, 16).double()
    step = 1e-4

    def turn(curve: Through, loop: bool) -> float:
        middle = 2 / (5 if loop else 4)
        before, at, after = (curve(position(middle + d))[0].double() for d in (-step, 0, step))
        back, forth = at - before, after - at
        return float(torch.acos((back @ forth / back.norm() / forth.norm()).clamp(-1, 1)))

    for loop in (False, True):
        assert turn(Through(points, loop, "normal", spline=True), loop) < 0.05
        assert turn(Through(points, loop, "normal"), loop) > 1


def test_easing_stops_at_points() -> None:
    shares = torch.tensor([0, 0.25, 0.5, 1])
    assert eased(shares).tolist() == [0, 0.15625, 0.5, 1]
    points = normal(1, 3, 16)
    plain, slow = (Through(points, easing=easing) for easing in (False, True))
    near = position(0.5 + 1e-3)
    assert (slow(near)[0] - points[1]).norm() < 0.01 * (plain(near)[0] - points[1]).norm()


def test_opposite_points_are_joined_on_the_sphere() -> None:
    point = normal(3, 16)
    half = between(point, -point, 0.5)
    assert half.norm() == pytest.approx(float(point.norm()), rel=1e-5)
    assert abs(float(half @ point)) < 1e-4
    assert torch.equal(between(point, point, 0.3), point)
    assert between(torch.zeros(4), torch.ones(4), 0.5).isfinite().all()


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=SHAPES,
    radius=st.floats(0.01, 1),
    where=st.lists(SHARES, min_size=1, max_size=4),
)
def test_a_loop_around_a_latent_is_at_one_distance(
    seed: int, shape: tuple[int, ...], radius: float, where: list[float]
) -> None:
    centre = normal(seed, *shape) + 0.01
    loop = Around(centre, radius, seed)
    found = loop(torch.tensor(where, dtype=torch.float64))
    norms = centre.norm(dim=-1).expand(found.shape[:-1])
    assert torch.allclose(found.norm(dim=-1), norms, rtol=1e-4)
    if shape[-1] > 2:
        cosine = torch.nn.functional.cosine_similarity(found, centre.expand_as(found), dim=-1)
        expected = torch.tensor(math.cos(radius * math.pi / 2)).expand_as(cosine)
        assert torch.allclose(cosine, expected, atol=1e-4)
    assert torch.equal(loop(position(0)), loop(position(1)))
    again = Around(centre, radius, seed)(torch.tensor(where, dtype=torch.float64))
    assert torch.equal(again, found)


@given(seed=st.integers(0, 2**32 - 1), radius=st.floats(0.01, 1), where=SHARES)
def test_a_loop_around_a_uniform_latent_stays_in_range(
    seed: int, radius: float, where: float
) -> None:
    centre = uniform(seed, 16)
    loop = Around(centre, radius, seed, "uniform")
    found = loop(position(where))[0]
    assert found.abs().max() <= 1
    assert (found - centre).abs().max() <= 2 * radius + 1e-6
    assert torch.equal(loop(position(0)), loop(position(1)))


def test_a_loop_around_a_uniform_latent_is_uniform_at_the_radius_of_another() -> None:
    loop = Around(torch.zeros(4000), 1.0, 5, "uniform")
    for where in (0.0, 0.3, 0.71):
        values = loop(position(where))[0].sort().values
        assert (values - torch.linspace(-1, 1, 4000)).abs().max() < 0.06


def test_class_weights_change_evenly() -> None:
    weights = torch.eye(3)
    curve = Through(weights, loop=True, distribution="weights")
    assert curve(position(1 / 6))[0].tolist() == pytest.approx([0.5, 0.5, 0])
    assert curve(position(11 / 12))[0].tolist() == pytest.approx([0.75, 0, 0.25])
    assert torch.equal(Through(weights[:1])(position(0.4)), weights[:1])
