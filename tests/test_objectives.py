"""Every loss against a value worked by hand on a batch of two, and where its gradient goes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import TermConfig
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.objectives import Objective, Round
from impasto.registry import load_module, module_names


def judged_round(real: list[float], fake: list[float]) -> Round:
    """A round of two one-pixel pictures, which the discriminator judges to be as bright as they
    are."""

    def pictures(values: list[float]) -> Tensor:
        return torch.tensor(values)[:, None, None, None].expand(-1, 3, 1, 1).clone()

    none = torch.zeros(len(real), 0, dtype=torch.int64)
    return Round(
        real=pictures(real),
        real_labels=none,
        fake=pictures(fake),
        fake_labels=none,
        latents=torch.zeros(len(real), 4),
        discriminate=lambda images, labels: Judgement(images.mean(dim=(2, 3))[:, :1]),
        generate=lambda latents, labels: latents,
    )


def loss(term: dict[str, Any], player: str, round: Round) -> float:
    objective = Objective([TermConfig.model_validate(term)])
    return objective.loss(player, round)[0].item()


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_bce() -> None:
    # -log sigmoid(x) = softplus(-x); -log(1 - sigmoid(x)) = softplus(x)
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    expected = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(-3)) / 2
    assert loss({"term": "bce"}, "discriminator", round) == pytest.approx(expected, rel=1e-6)
    expected = (softplus(-0.5) + softplus(3)) / 2
    assert loss({"term": "bce"}, "generator", round) == pytest.approx(expected, rel=1e-6)


def test_bce_with_labels_smoothed_to_a_value() -> None:
    # Cross-entropy against y: y softplus(-x) + (1 - y) softplus(x)
    term: dict[str, Any] = {"term": "bce", "real_labels": [0.9, 0.9], "fake_labels": [0.2, 0.2]}
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    real = [0.9 * softplus(-x) + 0.1 * softplus(x) for x in (2.0, -1.0)]
    fake = [0.2 * softplus(-x) + 0.8 * softplus(x) for x in (0.5, -3.0)]
    expected = sum(real) / 2 + sum(fake) / 2
    assert loss(term, "discriminator", round) == pytest.approx(expected, rel=1e-6)
    # The generator's goal is not smoothed.
    assert loss(term, "generator", round) == loss({"term": "bce"}, "generator", round)


def test_bce_draws_each_label_from_its_range() -> None:
    # At logit 0 the cross-entropy is log 2 whatever the label; its gradient is 1/2 - label.
    torch.manual_seed(0)
    count = 4000
    round = judged_round([0.0] * count, [0.0] * count)
    round.real.requires_grad_()
    round.fake.requires_grad_()
    term = TermConfig.model_validate(
        {"term": "bce", "real_labels": [0.7, 1.0], "fake_labels": [0.0, 0.3]}
    )
    Objective([term]).loss("discriminator", round)[0].backward()
    assert round.real.grad is not None
    assert round.fake.grad is not None
    # d loss / d logit, from the first channel, which is the logit here
    real = 0.5 - round.real.grad[:, 0, 0, 0] * count
    fake = 0.5 - round.fake.grad[:, 0, 0, 0] * count
    for labels, low, high in ((real, 0.7, 1.0), (fake, 0.0, 0.3)):
        assert labels.min() >= low - 1e-3
        assert labels.max() <= high + 1e-3
        assert labels.mean().item() == pytest.approx((low + high) / 2, abs=0.01)
        assert labels.std().item() == pytest.approx(0.3 / math.sqrt(12), abs=0.01)


def test_hinge() -> None:
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    # max(0, 1-2) + max(0, 1+1) = 0 + 2; max(0, 1.5) + max(0, -2) = 1.5 + 0
    assert loss({"term": "hinge"}, "discriminator", round) == pytest.approx(1.0 + 0.75)
    assert loss({"term": "hinge"}, "generator", round) == pytest.approx(1.25)


def test_wasserstein() -> None:
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    assert loss({"term": "wasserstein"}, "discriminator", round) == pytest.approx(-1.25 - 0.5)
    assert loss({"term": "wasserstein"}, "generator", round) == pytest.approx(1.25)


def test_gradient_penalty() -> None:
    # A linear critic <w, x> has the gradient w everywhere, whatever the interpolation.
    weight = torch.full((3, 2, 2), 0.5, requires_grad=True)  # norm sqrt(12 * 0.25) = sqrt(3)
    round = judged_round([0.0, 1.0], [1.0, 0.0])
    round.real, round.fake = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    round.discriminate = lambda images, labels: Judgement((images * weight).sum((1, 2, 3))[:, None])
    objective = Objective(
        [
            TermConfig(term="wasserstein", weight=0.0),
            TermConfig(term="gradient_penalty", weight=10.0),
        ]
    )
    total, shares = objective.loss("discriminator", round)
    expected = 10 * (math.sqrt(3) - 1) ** 2
    assert total.item() == pytest.approx(expected, rel=1e-6)
    assert shares["gradient_penalty"].item() == pytest.approx(expected, rel=1e-6)
    # It trains the critic: d/dw 10 (||w|| - 1)^2 = 20 (||w|| - 1) w / ||w||
    total.backward()
    assert weight.grad is not None
    assert weight.grad[0, 0, 0].item() == pytest.approx(
        20 * (math.sqrt(3) - 1) * 0.5 / math.sqrt(3), rel=1e-5
    )
    assert set(objective.loss("generator", judged_round([0.0], [0.0]))[1]) == {"wasserstein"}


def test_the_penalty_looks_between_real_and_fake() -> None:
    seen: list[Tensor] = []

    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        seen.append(images.detach())
        return Judgement(images.flatten(1).sum(1, keepdim=True))

    round = judged_round([0.0] * 500, [1.0] * 500)
    round.discriminate = discriminate
    objective = Objective([TermConfig(term="wasserstein"), TermConfig(term="gradient_penalty")])
    objective.loss("discriminator", round)
    between = seen[-1]
    assert (between == between[:, :1]).all()  # one share a picture
    shares = between[:, 0, 0, 0]
    assert 0 <= shares.min() < 0.02
    assert 0.98 < shares.max() <= 1
    assert len(seen) == 3  # real, fake, between: nothing is judged twice


def test_a_term_may_stand_twice() -> None:
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    objective = Objective([TermConfig(term="hinge"), TermConfig(term="hinge", weight=5.0)])
    total, shares = objective.loss("discriminator", round)
    assert total.item() == pytest.approx(1.75 * 6)
    assert {name: share.item() for name, share in shares.items()} == pytest.approx(
        {"hinge": 1.75, "hinge.1": 8.75}
    )


def test_labels_are_smoothed_within_zero_and_one() -> None:
    for wrong in ([1.0, 0.7], [-0.1, 0.5], [0.5, 1.2]):
        with pytest.raises(ImpastoError, match=r"'objective.bce.real_labels' cannot be"):
            Objective([TermConfig.model_validate({"term": "bce", "real_labels": wrong})])


def test_weights_scale_a_share() -> None:
    round = judged_round([2.0, -1.0], [0.5, -3.0])
    assert loss({"term": "hinge", "weight": 3.0}, "discriminator", round) == pytest.approx(5.25)


@pytest.mark.parametrize("name", module_names("objectives"))
def test_every_term_trains_somebody(name: str) -> None:
    configs = [TermConfig(term=name)]
    if not hasattr(load_module("objectives", name, "term"), "SCORE"):
        configs.append(TermConfig(term="wasserstein"))  # an objective needs an adversary
    objective = Objective(configs)
    assert objective.score_meaning in ("probability", "critic")
    for player in ("discriminator", "generator"):
        round = judged_round([0.3, -0.2], [0.1, -0.4])
        round.fake.requires_grad_()
        total, _ = objective.loss(player, round)
        assert torch.isfinite(total)
        total.backward()
        assert round.fake.grad is not None
        assert round.fake.grad.abs().sum() > 0


def test_scores() -> None:
    logits = torch.tensor([[0.0], [2.0]])
    probabilities = Objective([TermConfig(term="bce")]).score(logits).flatten().tolist()
    assert probabilities == pytest.approx([0.5, 1 / (1 + math.exp(-2))])
    assert torch.equal(Objective([TermConfig(term="hinge")]).score(logits), logits)


def test_wrong_objectives() -> None:
    with pytest.raises(ImpastoError, match=r"unknown term 'hing'; there is bce"):
        Objective([TermConfig(term="hing")])
    with pytest.raises(ImpastoError, match="no adversarial term"):
        Objective([TermConfig(term="gradient_penalty")])
    with pytest.raises(ImpastoError, match=r"unknown setting 'objective.hinge.margin'"):
        Objective([TermConfig.model_validate({"term": "hinge", "margin": 1})])
