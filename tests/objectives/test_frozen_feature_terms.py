"""The terms of frozen features (`frechet`, `drift`, `alignment`), by hand and in training."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.config import TermConfig
from impasto.errors import ImpastoError
from impasto.metrics.frechet import frechet_distance
from impasto.networks import Judgement
from impasto.networks._frozen_features import averaged_pixels, means, stage_statistics
from impasto.objectives import Objective, StepInputs, alignment, drift, frechet
from tests.helpers.training import session, small

NO_LABELS = torch.zeros(2, 0, dtype=torch.int64)


def inputs_of(fake: Tensor, real: Tensor, labels: Tensor | None = None) -> StepInputs:
    labels = NO_LABELS if labels is None else labels
    return StepInputs(
        real=real,
        real_labels=labels,
        fake=fake,
        fake_labels=labels,
        latents=torch.zeros(len(fake), 1),
        discriminate=lambda images, labels: Judgement(images.flatten(1), features=images),
    )


def gaussian(seed: int, count: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=random)
    return torch.randn(count, width, generator=random) @ mixing + torch.randn(
        width, generator=random
    )


def test_the_distance_is_that_of_the_metric() -> None:
    """The same distance as evaluations print, computed there in float64 from singular values."""
    fake, real = gaussian(1, 400, 6), gaussian(2, 300, 6)
    moments = frechet.Moments(6, decay=0.9)
    moments.set_real(real)
    found = moments(fake)

    def of(features: Tensor) -> tuple[Tensor, Tensor]:
        values = features.double()
        return values.mean(0), torch.from_numpy(np.cov(values.T.numpy(), bias=True))

    expected = frechet_distance(*of(fake), *of(real))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_in_one_dimension_by_hand() -> None:
    """(m - m_r)^2 + (s - s_r)^2, of two generated values and two real ones."""
    moments = frechet.Moments(1, decay=0.5)
    moments.set_real(torch.tensor([[0.0], [4.0]]))  # mean 2, deviation 2
    fake = torch.tensor([[4.0], [6.0]], requires_grad=True)  # mean 5, deviation 1
    found = moments(fake)
    assert found.item() == pytest.approx((5 - 2) ** 2 + (1 - 2) ** 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(found, fake)
    # Of m: 2 (m - 2) / 2; of s: 2 (s - 2) (x - m) / (2 s).
    assert gradient.flatten().tolist() == pytest.approx([3 + 1, 3 - 1], rel=1e-4)
    # The second batch has half the weight: mean 5 / 2 + 1 / 2, square 26 / 2 + 2 / 2.
    again = moments(torch.tensor([[0.0], [2.0]]))
    mean, square = 3.0, 14.0
    deviation = math.sqrt(square - mean**2)
    assert again.item() == pytest.approx((mean - 2) ** 2 + (deviation - 2) ** 2, rel=1e-4)


def test_the_average_keeps_its_gradient_and_decays() -> None:
    moments = frechet.Moments(3, decay=0.75)
    moments.set_real(gaussian(0, 50, 3))
    batches = [gaussian(seed, 8, 3) for seed in range(1, 8)]
    for batch in batches:
        moments(batch)
    expected, weight = torch.zeros(3), 0.0
    for number, batch in enumerate(batches):
        decay = min(0.75, number / (number + 1))
        expected = decay * expected + (1 - decay) * batch.mean(0)
        weight = decay * weight + (1 - decay)
    assert weight == pytest.approx(1)
    assert torch.allclose(moments.running_mean, expected, atol=1e-5)


def test_the_term_is_the_sum_of_logarithms() -> None:
    fake, real = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(4, 3, 16, 16) * 2 - 1
    options: dict[str, Any] = {"networks": ("pixels",), "decay": 0.9, "read_at": 32}
    memory = frechet.Memory(resolution=16, label_sizes=(), **options)
    memory.prepare(lambda: iter(real.split(3)))
    found = frechet.generator_loss(inputs_of(fake, real[:2]), memory, **options)
    squares = [images.view(-1, 3, 8, 2, 8, 2).mean((3, 5)).flatten(1) for images in (fake, real)]
    by_hand = frechet.Moments(192, 0.9)
    by_hand.set_real(squares[1])
    assert found.item() == pytest.approx(math.log(by_hand(squares[0]).item() + 0.01), rel=1e-4)


def test_features_of_maps_by_hand() -> None:
    maps = [torch.arange(32.0).view(1, 2, 4, 4)]
    assert means(maps).tolist() == [[7.5, 23.5]]
    (found,) = stage_statistics(maps)
    quarters = [2.5, 4.5, 10.5, 12.5]
    deviation = np.arange(16).std()
    assert found.tolist()[0] == pytest.approx(
        [7.5, 23.5, deviation, deviation, *quarters, *(16 + each for each in quarters)], rel=1e-4
    )
    assert averaged_pixels(torch.ones(1, 3, 16, 16)).tolist() == [[1.0] * 192]


def test_the_force_by_hand() -> None:
    """One generated value between a real one and another generated one, in one dimension."""
    x, other, real = torch.tensor([[0.0]]), torch.tensor([[-1.0]]), torch.tensor([[3.0]])
    masks = (torch.tensor([[True]]), torch.tensor([[True]]))
    # Distances 1 and 3, their mean 2. Each column has one row, so its softmax is 1.
    e = [math.exp(-0.5 / 0.5), math.exp(-1.5 / 0.5)]
    repelled, attracted = (math.sqrt(value / sum(e)) for value in e)
    pull = repelled * attracted * (3.0 - -1.0)
    assert pull > 0
    found = drift.force(x, other, real, masks, 0.5)
    assert found.item() == pytest.approx(1.0)  # a root mean square of 1 of a single value
    two = torch.tensor([[0.0, 0.0]])
    far = torch.tensor([[-1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    direction = drift.force(two, *far, masks, 0.5)[0]
    # Away from the one at (-1, 0) and towards the one at (0, 3), with equal weights.
    assert (direction[1] / direction[0]).item() == pytest.approx(3.0, rel=1e-5)


def test_no_force_across_classes() -> None:
    generated = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
    reals = torch.tensor([[1.0, 0.0], [9.0, 9.0]])
    labels = torch.tensor([[0.0], [1.0]])
    others = torch.tensor([[0.0, 1.0], [7.0, 7.0]])
    masks = (
        drift.same_classes(labels, labels),
        drift.same_classes(labels, torch.tensor([[0.0], [0.0]])),
    )
    found = drift.force(generated, others, reals, masks, 0.2)
    assert found[1].tolist() == [0.0, 0.0]  # no real picture of its class
    assert found[0].abs().sum() > 0


def test_the_queue_keeps_the_newest_of_each_batch() -> None:
    memory = drift.Memory(resolution=32, label_sizes=(3,), radii=(0.1,), queue=5, read_at=32)
    assert not drift.same_classes(torch.tensor([[1.0, 0.0]]), memory.labels).any()
    for number in range(3):
        features = [torch.full((2, each.shape[1]), float(number)) for each in memory.queued()]
        memory.push(features, torch.tensor([[number, 0], [number, 0]]))
    assert memory.labels[:, 0].tolist() == [2, 2, 1, 1, 0]
    assert memory.queued()[0][:, 0].tolist() == [2, 2, 1, 1, 0]


def test_drift_moves_pictures_towards_real_ones() -> None:
    """The loss by hand: the mean square of the summed forces, whatever the features are."""
    torch.manual_seed(0)
    fake = (torch.rand(4, 3, 32, 32) * 2 - 1).requires_grad_()
    options: dict[str, Any] = {"radii": (0.05, 0.2), "queue": 4, "read_at": 32}
    memory = drift.Memory(resolution=32, label_sizes=(), **options)
    labels = torch.zeros(4, 0, dtype=torch.int64)
    real = torch.rand(4, 3, 32, 32) * 2 - 1
    loss = drift.generator_loss(inputs_of(fake, real, labels), memory, **options)
    loss.backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    # Two radii whose forces have a root mean square of 1: between 0 (opposed) and 4 (equal).
    assert 0 < loss.item() <= 4 + 1e-4
    assert (memory.labels == 0).all()


def test_alignment_by_hand() -> None:
    memory = alignment.Memory(resolution=32, label_sizes=(), read_at=32)
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    maps = memory.frozen(real)[3]
    basis = alignment.projection(112, 3)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)
    wanted = torch.einsum("bchw,cd->bdhw", maps, basis)
    own = torch.randn(2, 3, *maps.shape[-2:])
    inputs = inputs_of(real, real).changed(
        discriminate=lambda images, labels: Judgement(images.flatten(1), features=own)
    )
    products = (own * wanted).sum(1) / (own.norm(dim=1) * wanted.norm(dim=1))
    found = alignment.discriminator_loss(inputs, memory)
    assert found.item() == pytest.approx(1 - products.mean().item(), rel=1e-5)
    same = inputs.changed(
        discriminate=lambda images, labels: Judgement(images.flatten(1), features=2 * wanted)
    )
    assert alignment.discriminator_loss(same, memory).item() == pytest.approx(0, abs=1e-5)


def test_alignment_needs_features(tiny: Collection) -> None:
    terms = [{"term": "bce"}, {"term": "alignment"}]
    with pytest.raises(ImpastoError, match="needs a discriminator that gives its features"):
        session(small(objective=terms), tiny)


def test_every_term_with_a_memory_has_its_own() -> None:
    two = [TermConfig(term="bce"), TermConfig(term="drift"), TermConfig(term="drift", weight=0.5)]
    objective = Objective(two)
    objective.build_memory(32, ())
    assert list(objective.memory) == ["1", "2"]
    assert objective.memory["1"] is not objective.memory["2"]
    assert not [name for name in objective.memory.state_dict() if "frozen" in name]
