"""The term `flow` by hand on two pictures, and the augmentation that a denoiser is told of."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import TermConfig
from impasto.errors import ImpastoError
from impasto.objectives import Objective, StepInputs
from impasto.objectives._augmentation_labels import affine_maps, augment_with_labels
from impasto.objectives.flow import generator_loss, weights
from tests.helpers.judgements import judged_inputs

Denoiser = Callable[..., Tensor]


def inputs_of(real: Tensor, denoise: Denoiser, labels: Tensor | None = None) -> StepInputs:
    inputs = judged_inputs([0.0] * len(real), [0.0] * len(real))
    if labels is not None:
        inputs.real_labels = labels
    return inputs.changed(real=real, denoise=denoise)


def pixels(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 1, 1).clone()


@pytest.mark.parametrize(
    ("weighting", "by_hand"),
    [
        # At t = 1/2 the noise level s is 1, at t = 0.98 it is 1/49.
        ("velocity", [4.0, 1 / 0.05**2]),
        ("edm", [(1 + 0.25) / 0.25, ((1 / 49) ** 2 + 0.25) / (0.5 / 49) ** 2]),
        ("soft_min_snr", [1 / 1.25, 1 / ((1 / 49) ** 2 + 0.25)]),
    ],
)
def test_weights(weighting: Any, by_hand: list[float]) -> None:
    found = weights(torch.tensor([0.5, 0.98], dtype=torch.float64), weighting)
    assert found.tolist() == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("weighting", ["velocity", "edm", "soft_min_snr"])
def test_the_loss_by_hand_on_two_pictures(weighting: str) -> None:
    # The denoiser predicts 0.25 for the first picture and 1 for the second.
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def denoise(noisy: Tensor, time: Tensor, labels: Tensor, values: Tensor | None) -> Tensor:
        assert values is None
        seen.append((noisy, time, labels))
        return pixels(0.25, 1.0)

    labels = torch.tensor([[3], [-1]])
    torch.manual_seed(0)
    term = TermConfig.model_validate({"term": "flow", "weighting": weighting})
    loss, _ = Objective([term], discriminator=False).loss(
        "generator", inputs_of(pixels(0.5, -0.5), denoise, labels)
    )
    noisy, time, told = seen[0]
    assert torch.equal(told, labels)
    expected = 0.0
    for t, error in zip(time.tolist(), (0.25, 1.5), strict=True):
        s = (1 - t) / t
        weight = {
            "velocity": 1 / max(1 - t, 0.05) ** 2,
            "edm": (s**2 + 0.25) / (0.5 * s) ** 2,
            "soft_min_snr": 1 / (s**2 + 0.25),
        }[weighting]
        expected += weight * error**2 / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # What is left of a noisy picture without the picture's share is noise, times 1 - t.
    torch.manual_seed(0)
    logits, noise = torch.randn(2), torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(time, torch.sigmoid(-0.8 + 0.8 * logits))
    t = time[:, None, None, None]
    torch.testing.assert_close(noisy, t * pixels(0.5, -0.5) + (1 - t) * noise)


def test_velocity_weighting_is_the_velocitys_error() -> None:
    # (x - x^) / (1 - t) is the difference of the velocities (x - z) / (1 - t) and (x^ - z) / (1 - t).
    torch.manual_seed(0)
    real, guess = torch.randn(2, 2, 3, 4, 4).unbind()
    velocities: list[Tensor] = []

    def denoise(noisy: Tensor, time: Tensor, labels: Tensor, values: Tensor | None) -> Tensor:
        left = 1 - time[:, None, None, None]
        velocities.extend([(real - noisy) / left, (guess - noisy) / left])
        return guess

    loss = generator_loss(inputs_of(real, denoise))
    wanted, found = velocities
    assert loss.item() == pytest.approx((wanted - found).square().mean().item(), rel=1e-4)


def test_times_are_those_of_edm2() -> None:
    times: list[Tensor] = []

    def denoise(noisy: Tensor, time: Tensor, labels: Tensor, values: Tensor | None) -> Tensor:
        times.append(time)
        return noisy

    torch.manual_seed(0)
    generator_loss(
        inputs_of(torch.zeros(20_000, 3, 1, 1), denoise), time_mean=0.4, time_deviation=1
    )
    levels = ((1 - times[0]) / times[0]).log()
    assert levels.mean().item() == pytest.approx(-0.4, abs=0.03)
    assert levels.std().item() == pytest.approx(1.0, abs=0.03)


def test_the_best_denoiser_of_two_pictures_has_no_gradient() -> None:
    # Of the pictures a and -a it is a tanh(...): the loss is least there, at any weighting.
    torch.manual_seed(0)
    real = torch.where(torch.rand(40_000, 1, 1, 1) < 0.5, 0.5, -0.5).expand(-1, 3, 1, 1)
    for weighting in ("velocity", "edm", "soft_min_snr"):
        factor = torch.ones((), requires_grad=True)

        def denoise(
            noisy: Tensor, time: Tensor, labels: Tensor, values: None, factor: Tensor = factor
        ) -> Tensor:
            t = time[:, None, None, None]
            evidence = (0.5 * t * noisy / (1 - t) ** 2).sum(dim=1, keepdim=True)
            return factor * 0.5 * torch.tanh(evidence).expand_as(noisy)

        loss = generator_loss(inputs_of(real, denoise), weighting=weighting)
        (slope,) = torch.autograd.grad(loss, factor)
        assert abs(slope.item()) < 0.05 * loss.item()


def test_it_needs_a_generator_that_denoises() -> None:
    with pytest.raises(ImpastoError, match="term 'flow' needs a generator that denoises"):
        generator_loss(judged_inputs([0.0], [0.0]))
    for setting, value in (("time_deviation", 0), ("augment", 1.5), ("weighting", "snr")):
        with pytest.raises(ImpastoError, match=rf"'objective.flow.{setting}' cannot be"):
            Objective([TermConfig.model_validate({"term": "flow", setting: value})])


def values(**changes: float) -> Tensor:
    names = ("left_right", "up_down", "scale", "cosine", "sine", "a", "b", "right", "down")
    return torch.tensor([[changes.get(name, 0.0) for name in names]], dtype=torch.float64)


def linear(**changes: float) -> Tensor:
    return affine_maps(values(**changes))[0, :, :2]


def matrix(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_what_each_value_does() -> None:
    # Maps from changed positions to original ones, each the inverse of the change.
    same = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(linear(), same)
    torch.testing.assert_close(linear(left_right=1), matrix([-1, 0], [0, 1]))
    torch.testing.assert_close(linear(up_down=1), matrix([1, 0], [0, -1]))
    torch.testing.assert_close(linear(scale=5), same / 2)  # 2^(0.2 * 5) times as large
    quarter = linear(cosine=-1, sine=1)  # what is on the right comes from above, with y downwards
    torch.testing.assert_close(quarter, matrix([0, 1], [-1, 0]))
    torch.testing.assert_close(linear(a=5), matrix([0.5, 0], [0, 2]))  # wider and lower
    torch.testing.assert_close(linear(a=-5), matrix([2, 0], [0, 0.5]))
    # Along the diagonal: the exponential of -ln 2 times [[0, 1], [1, 0]].
    exponential = torch.linalg.matrix_exp(-math.log(2) * matrix([0, 1], [1, 0]))
    torch.testing.assert_close(linear(b=5), exponential)
    shifted = affine_maps(values(right=1, down=-2))[0]
    torch.testing.assert_close(shifted[:, :2], same)
    torch.testing.assert_close(shifted[:, 2], torch.tensor([-0.25, 0.5], dtype=torch.float64))
    torch.testing.assert_close(affine_maps(values(right=4, left_right=1))[0, 0, 2].item(), 1.0)


def test_pictures_are_changed_as_their_values_say() -> None:
    torch.manual_seed(0)
    images = torch.randn(600, 3, 8, 8)
    changed, told = augment_with_labels(images, 0.12)
    assert changed.shape == images.shape
    assert told.shape == (600, 9)
    same = (told == 0).all(dim=1)
    assert same.float().mean().item() == pytest.approx(0.88**6, abs=0.06)
    assert torch.equal(changed[same], images[same])
    assert ((changed != images).flatten(1).any(dim=1) == ~same).all()
    # Each kind by itself, with the frequency that was asked for.
    for column in range(9):
        share = (told[:, column] != 0).float().mean().item()
        assert share == pytest.approx(0.12, abs=0.045), column
    only_mirrored = (told[:, 0] == 1) & (told[:, 1:] == 0).all(dim=1)
    assert only_mirrored.any()
    torch.testing.assert_close(
        changed[only_mirrored], images[only_mirrored].flip(3), rtol=0, atol=1e-4
    )
    only_turned = (told[:, 4] != 0) & (told[:, [0, 1, 2, 5, 6, 7, 8]] == 0).all(dim=1)
    circle = told[only_turned][:, 3] + 1, told[only_turned][:, 4]
    torch.testing.assert_close(torch.hypot(*circle), torch.ones(int(only_turned.sum())))


def test_the_denoiser_is_told_and_must_undo_no_change() -> None:
    # Noise-free pictures: what it is given is what it must predict, changed.
    told: list[Tensor] = []

    def denoise(noisy: Tensor, time: Tensor, labels: Tensor, values: Tensor) -> Tensor:
        told.append(values)
        return noisy

    torch.manual_seed(0)
    loss = generator_loss(
        inputs_of(torch.rand(64, 3, 8, 8), denoise),
        time_mean=15.0,
        time_deviation=1e-3,
        augment=1.0,
    )
    assert told[0].shape == (64, 9)
    assert told[0].ne(0).all()
    assert loss.item() < 1e-6
