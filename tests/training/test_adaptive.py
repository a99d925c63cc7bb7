"""The adaptive probability of augmentation against steps worked by hand (Karras et al. 2020)."""

import pytest
import torch
from torch import Tensor

from impasto.training.adaptive import AdaptiveProbability, signs


def realness(positive: int, count: int = 10) -> Tensor:
    """Of so many pictures, these many are found real."""
    return torch.where(torch.arange(count) < positive, 3.0, -0.5)[:, None]


def test_one_step_by_hand() -> None:
    """9 of 10 found real: r_t = 0.8 > 0.6, and 4 x 10 pictures of 1,000 are a step of 0.04."""
    adaptive = AdaptiveProbability(adjust_images=1_000, start=0.2)
    for _ in range(3):
        adaptive.observe(*signs(realness(9)))
        assert adaptive.probability.item() == pytest.approx(0.2)
        assert adaptive.overfitting_sign.item() == 0
    adaptive.observe(*signs(realness(9)))
    assert adaptive.probability.item() == pytest.approx(0.24)
    assert adaptive.overfitting_sign.item() == pytest.approx(0.8)


def test_below_the_target_it_falls_and_at_the_target_it_stays() -> None:
    adaptive = AdaptiveProbability(every=1, adjust_images=100, start=0.5)
    adaptive.observe(*signs(realness(7)))
    assert adaptive.probability.item() == pytest.approx(0.4)
    adaptive = AdaptiveProbability(every=1, adjust_images=100, start=0.5, target=0.5)
    adaptive.observe(*signs(realness(6, count=8)))
    assert adaptive.probability.item() == 0.5


def test_batches_of_a_step_count_by_their_pictures() -> None:
    """1 of 2 real, then 8 of 8: r_t = (0 + 8) / 10."""
    adaptive = AdaptiveProbability(every=2, adjust_images=100)
    adaptive.observe(*signs(realness(1, count=2)))
    adaptive.observe(*signs(realness(8, count=8)))
    assert adaptive.overfitting_sign.item() == pytest.approx(0.8)
    assert adaptive.probability.item() == pytest.approx(0.1)


def test_a_picture_judged_in_many_places_is_one_picture() -> None:
    adaptive = AdaptiveProbability(every=1, adjust_images=100, target=0)
    adaptive.observe(*signs(torch.tensor([[1.0, 1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])))
    assert adaptive.overfitting_sign.item() == pytest.approx(0.25)
    assert adaptive.probability.item() == pytest.approx(0.02)


def test_signs_are_counted_from_the_boundary() -> None:
    adaptive = AdaptiveProbability(every=1)
    adaptive.observe(*signs(torch.tensor([[4.0], [6.0], [7.0], [8.0]]), boundary=torch.tensor(5.0)))
    assert adaptive.overfitting_sign.item() == pytest.approx(0.5)


@pytest.mark.parametrize(("positive", "end"), [(10, 1.0), (0, 0.0)])
def test_it_stays_a_probability(positive: int, end: float) -> None:
    adaptive = AdaptiveProbability(every=1, adjust_images=30, start=0.5)
    for _ in range(5):
        adaptive.observe(*signs(realness(positive)))
    assert adaptive.probability.item() == end


def test_goes_from_none_to_always_in_the_pictures_asked_for() -> None:
    adaptive = AdaptiveProbability(adjust_images=4_000)
    for _ in range(399):
        adaptive.observe(*signs(realness(10)))
    assert adaptive.probability.item() < 1
    adaptive.observe(*signs(realness(10)))
    assert adaptive.probability.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("stopped", range(1, 9))
def test_resuming_from_the_state_is_exact(stopped: int) -> None:
    torch.manual_seed(0)
    turns = [torch.randn(6, 3) + 0.7 for _ in range(9)]
    whole = AdaptiveProbability(adjust_images=100)
    first = AdaptiveProbability(adjust_images=100)
    for turn in turns[:stopped]:
        first.observe(*signs(turn))
    second = AdaptiveProbability(adjust_images=100)
    second.state = first.state.clone()
    for turn in turns[stopped:]:
        second.observe(*signs(turn))
    for turn in turns:
        whole.observe(*signs(turn))
    assert torch.equal(second.state, whole.state)
    assert whole.probability > 0


def test_nothing_is_read_on_the_host() -> None:
    """On the meta device, where there is nothing to read, and with no trace of the gradient."""
    adaptive = AdaptiveProbability(device="meta")
    adaptive.observe(*signs(torch.zeros(4, 2, device="meta", requires_grad=True)))
    assert adaptive.state.shape == (5,)
    assert not adaptive.state.requires_grad


def test_half_precision_realness_is_summed_in_full() -> None:
    adaptive = AdaptiveProbability(every=1)
    adaptive.observe(*signs(realness(9).bfloat16()))
    assert adaptive.state.dtype == torch.float32
    assert adaptive.overfitting_sign.item() == pytest.approx(0.8)
