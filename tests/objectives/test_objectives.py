"""Every loss against a value worked by hand on a batch of two, and where its gradient goes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.config import TermConfig
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.objectives import Objective, StepInputs
from impasto.registry import load_module, module_names
from tests.helpers.judgements import judged_inputs


def labelled_round(
    real: list[list[float]],
    fake: list[list[float]],
    real_labels: list[list[int]],
    fake_labels: list[list[int]],
    sizes: tuple[int, ...] = (2,),
) -> StepInputs:
    """A round of one-pixel pictures whose first values, one a class, the discriminator takes for its
    class logits, and whose last one for its realness; half a picture is what it paints of it, and
    what it encodes and the generator decodes."""

    def pictures(values: list[list[float]]) -> Tensor:
        return torch.tensor(values)[:, :, None, None]

    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        values = images[:, :, 0, 0]
        logits = values[:, : sum(sizes)].split(sizes, dim=1)
        return Judgement(
            values[:, -1:],
            tuple(logits),
            images / 2,
            images / 2,
            reconstruct=lambda: ((images / 2, images), (images, images * 3)),
        )

    return StepInputs(
        real=pictures(real),
        real_labels=torch.tensor(real_labels),
        fake=pictures(fake),
        fake_labels=torch.tensor(fake_labels),
        latents=torch.zeros(len(real), 4),
        discriminate=discriminate,
        decode=lambda features: features,
        denoise=lambda noisy, *conditions: noisy,
    )


def loss(term: dict[str, Any], player: str, inputs: StepInputs) -> float:
    objective = Objective([TermConfig.model_validate(term)])
    return objective.loss(player, inputs)[0].item()


def share(
    term: dict[str, Any], player: str, inputs: StepInputs, *, backward: bool = False
) -> float:
    """One term's own share, beside the adversarial one that every objective has."""
    name = term["term"]
    configs = [TermConfig.model_validate(term)]
    if not hasattr(load_module("objectives", name, "term"), "SCORE"):
        configs.append(TermConfig(term="wasserstein"))
    total, shares = Objective(configs).loss(player, inputs)
    if backward:
        total.backward()
    return shares[name].item()


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_bce() -> None:
    # -log sigmoid(x) = softplus(-x); -log(1 - sigmoid(x)) = softplus(x)
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    expected = (softplus(-2) + softplus(1)) / 2 + (softplus(0.5) + softplus(-3)) / 2
    assert loss({"term": "bce"}, "discriminator", inputs) == pytest.approx(expected, rel=1e-6)
    expected = (softplus(-0.5) + softplus(3)) / 2
    assert loss({"term": "bce"}, "generator", inputs) == pytest.approx(expected, rel=1e-6)


def test_bce_with_labels_smoothed_to_a_value() -> None:
    # Cross-entropy against y: y softplus(-x) + (1 - y) softplus(x)
    term: dict[str, Any] = {"term": "bce", "real_labels": [0.9, 0.9], "fake_labels": [0.2, 0.2]}
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    real = [0.9 * softplus(-x) + 0.1 * softplus(x) for x in (2.0, -1.0)]
    fake = [0.2 * softplus(-x) + 0.8 * softplus(x) for x in (0.5, -3.0)]
    expected = sum(real) / 2 + sum(fake) / 2
    assert loss(term, "discriminator", inputs) == pytest.approx(expected, rel=1e-6)
    # The generator's goal is not smoothed.
    assert loss(term, "generator", inputs) == loss({"term": "bce"}, "generator", inputs)


def test_bce_draws_each_label_from_its_range() -> None:
    # At logit 0 the cross-entropy is log 2 whatever the label; its gradient is 1/2 - label.
    torch.manual_seed(0)
    count = 4000
    inputs = judged_inputs([0.0] * count, [0.0] * count)
    inputs.real.requires_grad_()
    inputs.fake.requires_grad_()
    term = TermConfig.model_validate(
        {"term": "bce", "real_labels": [0.7, 1.0], "fake_labels": [0.0, 0.3]}
    )
    Objective([term]).loss("discriminator", inputs)[0].backward()
    assert inputs.real.grad is not None
    assert inputs.fake.grad is not None
    # d loss / d logit, from the first channel, which is the logit here
    real = 0.5 - inputs.real.grad[:, 0, 0, 0] * count
    fake = 0.5 - inputs.fake.grad[:, 0, 0, 0] * count
    for labels, low, high in ((real, 0.7, 1.0), (fake, 0.0, 0.3)):
        assert labels.min() >= low - 1e-3
        assert labels.max() <= high + 1e-3
        assert labels.mean().item() == pytest.approx((low + high) / 2, abs=0.01)
        assert labels.std().item() == pytest.approx(0.3 / math.sqrt(12), abs=0.01)


def test_hinge() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    # max(0, 1-2) + max(0, 1+1) = 0 + 2; max(0, 1.5) + max(0, -2) = 1.5 + 0
    assert loss({"term": "hinge"}, "discriminator", inputs) == pytest.approx(1.0 + 0.75)
    assert loss({"term": "hinge"}, "generator", inputs) == pytest.approx(1.25)


def test_hinge_with_a_margin_drawn_for_each_value() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    term: dict[str, Any] = {"term": "hinge", "margin": [0.5, 0.5]}
    # max(0, 0.5-2) + max(0, 0.5+1) = 0 + 1.5; max(0, 0.5+0.5) + max(0, 0.5-3) = 1 + 0
    assert loss(term, "discriminator", inputs) == pytest.approx(0.75 + 0.5)
    assert loss(term, "generator", inputs) == pytest.approx(1.25)
    # Uniform from [0.8, 1]: the mean of max(0, m) is 0.9. At D(x) = 0.9 it is that of max(0, m - 0.9),
    # the half of the draws that are above being 0.05 over in the mean.
    torch.manual_seed(0)
    drawn: dict[str, Any] = {"term": "hinge", "margin": [0.8, 1.0]}
    many = judged_inputs([0.9] * 4000, [0.0] * 4000)
    assert loss(drawn, "discriminator", many) == pytest.approx(0.025 + 0.9, abs=0.005)


def test_wasserstein() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    assert loss({"term": "wasserstein"}, "discriminator", inputs) == pytest.approx(-1.25 - 0.5)
    assert loss({"term": "wasserstein"}, "generator", inputs) == pytest.approx(1.25)


def test_gradient_penalty() -> None:
    # A linear critic <w, x> has the gradient w everywhere, whatever the interpolation.
    weight = torch.full((3, 2, 2), 0.5, requires_grad=True)  # norm sqrt(12 * 0.25) = sqrt(3)
    inputs = judged_inputs([0.0, 1.0], [1.0, 0.0])
    inputs.real, inputs.fake = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    inputs.discriminate = lambda images, labels: Judgement(
        (images * weight).sum((1, 2, 3))[:, None]
    )
    objective = Objective(
        [
            TermConfig(term="wasserstein", weight=0.0),
            TermConfig(term="gradient_penalty", weight=10.0),
        ]
    )
    total, shares = objective.loss("discriminator", inputs)
    expected = 10 * (math.sqrt(3) - 1) ** 2
    assert total.item() == pytest.approx(expected, rel=1e-6)
    assert shares["gradient_penalty"].item() == pytest.approx(expected, rel=1e-6)
    # It trains the critic: d/dw 10 (||w|| - 1)^2 = 20 (||w|| - 1) w / ||w||
    total.backward()
    assert weight.grad is not None
    assert weight.grad[0, 0, 0].item() == pytest.approx(
        20 * (math.sqrt(3) - 1) * 0.5 / math.sqrt(3), rel=1e-5
    )
    assert set(objective.loss("generator", judged_inputs([0.0], [0.0]))[1]) == {"wasserstein"}


def test_the_penalty_looks_between_real_and_fake() -> None:
    seen: list[Tensor] = []

    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        seen.append(images.detach())
        return Judgement(images.flatten(1).sum(1, keepdim=True))

    inputs = judged_inputs([0.0] * 500, [1.0] * 500)
    inputs.discriminate = discriminate
    objective = Objective([TermConfig(term="wasserstein"), TermConfig(term="gradient_penalty")])
    objective.loss("discriminator", inputs)
    between = seen[-1]
    assert (between == between[:, :1]).all()  # one share a picture
    shares = between[:, 0, 0, 0]
    assert 0 <= shares.min() < 0.02
    assert 0.98 < shares.max() <= 1
    assert len(seen) == 3  # real, fake, between: nothing is judged twice


def test_relativistic() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])  # ahead by 1.5 and by 2
    ahead, behind = (softplus(-1.5) + softplus(-2)) / 2, (softplus(1.5) + softplus(2)) / 2
    assert loss({"term": "relativistic"}, "discriminator", inputs) == pytest.approx(ahead)
    assert loss({"term": "relativistic"}, "generator", inputs) == pytest.approx(behind)
    # Only differences count: the same for all pictures changes nothing.
    moved = judged_inputs([9.0, 6.0], [7.5, 4.0])
    assert loss({"term": "relativistic"}, "generator", moved) == pytest.approx(behind)
    objective = Objective([TermConfig(term="relativistic")])
    assert objective.boundary(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0, 0.0])) == 2.5


def test_zero_centred_gradient_penalties() -> None:
    # D(x) = c * |x|^2 / 2 has the gradient c x: the penalties are c^2 |x|^2 / 2, and their
    # derivative by c is c |x|^2, means over pictures.
    scale = torch.tensor(3.0, requires_grad=True)
    for term, mean in (("r1", 7.5), ("r2", 24.0)):
        inputs = judged_inputs([1.0, 2.0], [0.0, -4.0])  # |x|^2 is 3 v^2: 3 and 12; 0 and 48
        inputs.discriminate = lambda images, labels: Judgement(
            (scale * images.square().sum((1, 2, 3)) / 2)[:, None]
        )
        objective = Objective(
            [TermConfig(term="relativistic", weight=0.0), TermConfig(term=term, weight=0.5)]
        )
        total, _ = objective.loss("discriminator", inputs)
        assert total.item() == pytest.approx(0.5 * 9 * mean / 2)
        (gradient,) = torch.autograd.grad(total, scale)
        assert gradient.item() == pytest.approx(0.5 * 3 * mean)
        assert term not in objective.loss("generator", judged_inputs([0.0], [0.0]))[1]
        assert not inputs.real.requires_grad  # what others look at is left as it was


@pytest.mark.parametrize("term", ["r1", "r2", "gradient_penalty"])
def test_penalties_leave_the_generator_alone(term: str) -> None:
    """Even where the generated pictures come with the graph that made them."""
    colour = torch.ones(2, 3, 1, 1, requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    inputs = judged_inputs([1.0, 2.0], [0.0, 0.0])
    inputs.fake = 2 * colour
    inputs.discriminate = lambda images, labels: Judgement(
        scale * images.square().sum((1, 2, 3))[:, None]
    )
    load_module("objectives", term, "term").discriminator_loss(inputs).backward()
    assert scale.grad is not None
    assert colour.grad is None


@pytest.mark.parametrize(("term", "pictures"), [("r1", "real"), ("r2", "fake")])
def test_penalties_look_at_the_pass_that_is_made_anyway(term: str, pictures: str) -> None:
    # A small network with curved activations, so that second derivatives matter everywhere.
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3), torch.nn.SiLU(), torch.nn.Conv2d(5, 2, 3), torch.nn.Flatten()
    ).double()
    batches = {"real": torch.randn(2, 3, 6, 6), "fake": torch.randn(2, 3, 6, 6)}
    asked: list[Tensor] = []

    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        asked.append(images)
        return Judgement(network(images))

    def play(ready: bool) -> tuple[Tensor, ...]:
        inputs = judged_inputs([0.0, 0.0], [0.0, 0.0])
        inputs.real, inputs.fake = batches["real"].double(), batches["fake"].double()
        inputs.discriminate = discriminate
        if ready:
            origin = getattr(inputs, pictures).requires_grad_()
            inputs = inputs.changed(**{f"{pictures}_origin": origin})
        objective = Objective([TermConfig(term="relativistic"), TermConfig(term=term, weight=3.0)])
        asked.clear()
        total, shares = objective.loss("discriminator", inputs)
        weights = tuple(network.parameters())
        return (total, shares[term], *torch.autograd.grad(total, weights))

    apart = play(False)
    assert len(asked) == 3  # real, fake, and one of them again
    together = play(True)
    assert len(asked) == 2
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert pictures == load_module("objectives", term, "term").NEEDS_GRADIENT_OF


def test_a_term_may_stand_twice() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    objective = Objective([TermConfig(term="hinge"), TermConfig(term="hinge", weight=5.0)])
    total, shares = objective.loss("discriminator", inputs)
    assert total.item() == pytest.approx(1.75 * 6)
    assert {name: share.item() for name, share in shares.items()} == pytest.approx(
        {"hinge": 1.75, "hinge.1": 8.75}
    )


def test_labels_are_smoothed_within_zero_and_one() -> None:
    for wrong in ([1.0, 0.7], [-0.1, 0.5], [0.5, 1.2]):
        with pytest.raises(ImpastoError, match=r"'objective.bce.real_labels' cannot be"):
            Objective([TermConfig.model_validate({"term": "bce", "real_labels": wrong})])


def test_weights_scale_a_share() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    assert loss({"term": "hinge", "weight": 3.0}, "discriminator", inputs) == pytest.approx(5.25)


@pytest.mark.parametrize("name", module_names("objectives"))
def test_every_term_trains_somebody(name: str) -> None:
    configs = [TermConfig(term=name)]
    if not hasattr(load_module("objectives", name, "term"), "SCORE"):
        configs.append(TermConfig(term="wasserstein"))  # an objective needs an adversary
    objective = Objective(configs)
    assert objective.score_meaning in ("probability", "critic")
    torch.manual_seed(0)
    objective.build_memory(32, (2,))
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    objective.prepare_memory(lambda: iter([real]))
    for player in ("discriminator", "generator"):
        fake = (torch.rand(2, 3, 32, 32) * 2 - 1).requires_grad_()
        weight = torch.rand(3, requires_grad=True)
        inputs = judging_by_colour(real, fake, weight)
        total, shares = objective.loss(player, inputs)
        assert torch.isfinite(total)
        if name in shares:
            total.backward()
            gradients = [each.grad for each in (fake, weight) if each.grad is not None]
            assert sum(float(each.abs().sum()) for each in gradients) > 0


def judging_by_colour(real: Tensor, fake: Tensor, weight: Tensor) -> StepInputs:
    """Inputs with every part that a term may use, each a weighting [3] of colours: realness, class
    logits, features, reconstructions and a denoiser."""

    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        means = images.mean((2, 3)) * weight
        coloured = images * weight[:, None, None]
        return Judgement(
            means.sum(1, keepdim=True),
            (means[:, :2],),
            coloured,
            coloured,
            reconstruct=lambda: ((coloured, images),),
            realness_under=lambda labels: means.sum(1, keepdim=True) + labels,
        )

    return StepInputs(
        real=real,
        real_labels=torch.tensor([[0], [1]]),
        fake=fake,
        fake_labels=torch.tensor([[1], [-1]]),
        latents=torch.zeros(2, 4),
        discriminate=discriminate,
        decode=lambda features: features,
        denoise=lambda noisy, *conditions: noisy * weight[:, None, None],
    )


def test_auxiliary_classifier() -> None:
    # softmax cross-entropy of two classes: -log p(first) = softplus(second - first)
    real, fake = [[2.0, 1.0, 0.0], [-1.0, 0.5, 0.0]], [[0.5, -0.5, 0.0], [0.0, 3.0, 0.0]]
    inputs = labelled_round(real, fake, [[0], [0]], [[1], [1]])
    term = {"term": "auxiliary_classifier"}
    on_reals = (softplus(1 - 2) + softplus(0.5 + 1)) / 2
    on_fakes = (softplus(0.5 + 0.5) + softplus(0 - 3)) / 2
    assert share(term, "discriminator", inputs) == pytest.approx(on_reals, rel=1e-6)
    both = share({**term, "on_fakes": True}, "discriminator", inputs)
    assert both == pytest.approx(on_reals + on_fakes, rel=1e-6)
    assert share(term, "generator", inputs) == pytest.approx(on_fakes, rel=1e-6)


def test_mismatched() -> None:
    # Two values a picture: its brightness less twice its class in the first field, and one more.
    def discriminate(images: Tensor, labels: Tensor) -> Judgement:
        found = images.mean(dim=(2, 3))[:, :1] - 2 * labels[:, :1]
        return Judgement(torch.cat([found, found + 1], dim=1))

    inputs = judged_inputs([0.5, 0.25, 2.0, 3.0], [0.0] * 4).changed(
        real_labels=torch.tensor([[1, 0], [0, 0], [0, -1], [-1, 1]]), discriminate=discriminate
    )
    # Each is told to be what the one before it is: the first of [-1, 1], another class in the second
    # field, so it is found 2.5 and 3.5; the second of [1, 0], another one in the first field, so
    # -1.75 and -0.75. Of the others no field is known to differ.
    by_hand = ((3.5 + 4.5) / 2 + (0 + 0.25) / 2) / 4
    assert share({"term": "mismatched"}, "discriminator", inputs) == pytest.approx(by_hand)

    # A discriminator that can say it without looking at the pictures again is not shown them again.
    looks: list[Tensor] = []

    def discriminate_once(images: Tensor, labels: Tensor) -> Judgement:
        looks.append(images)
        realness = discriminate(images, labels).realness
        return Judgement(realness, realness_under=lambda told: discriminate(images, told).realness)

    inputs = inputs.changed(discriminate=discriminate_once)
    assert share({"term": "mismatched"}, "discriminator", inputs) == pytest.approx(by_hand)
    assert sum(images is inputs.real for images in looks) == 1
    # The first class is known like any other, of the picture itself and of the one before it.
    inputs = inputs.changed(
        real=inputs.real[:2], real_labels=torch.tensor([[0], [1]]), discriminate=discriminate
    )
    by_hand = ((0 + 0.5) / 2 + (1.25 + 2.25) / 2) / 2
    assert share({"term": "mismatched"}, "discriminator", inputs) == pytest.approx(by_hand)
    objective = Objective([TermConfig(term="hinge"), TermConfig(term="mismatched")])
    assert objective.loss("discriminator", judged_inputs([0.5], [0.5]))[1].keys() == {"hinge"}


def test_unknown_classes_are_left_out_of_the_mean() -> None:
    real = [[2.0, 1.0, 0.3, 0.1, 0.2, 0.0], [-1.0, 0.5, 0.0, 1.0, 0.0, 0.0]]
    inputs = labelled_round(real, real, [[0, -1], [-1, 1]], [[-1, -1], [-1, -1]], (2, 3))
    term = {"term": "auxiliary_classifier"}
    second_field = math.log(math.exp(0) + math.exp(1) + math.exp(0)) - 1
    assert share(term, "discriminator", inputs) == pytest.approx(
        softplus(1 - 2) + second_field, rel=1e-6
    )
    assert share(term, "generator", inputs) == 0  # nothing known: no loss, and no NaN


def test_categorical() -> None:
    # Three sigmoids: two classes and 'generated', whose logit is minus the realness.
    real, fake = [[2.0, 1.0, 0.5], [-1.0, 0.5, -2.0]], [[0.5, -0.5, 1.0], [0.0, 3.0, -1.0]]
    inputs = labelled_round(real, fake, [[0], [1]], [[1], [0]])
    on_reals = softplus(-2) + softplus(1) + softplus(-0.5)  # first: class 0, not 'generated'
    on_reals += softplus(-1) + softplus(-0.5) + softplus(2)  # second: class 1
    on_fakes = softplus(0.5) + softplus(-0.5) + softplus(1)  # no class, but 'generated'
    on_fakes += softplus(0) + softplus(3) + softplus(-1)
    term = {"term": "categorical"}
    assert share(term, "discriminator", inputs) == pytest.approx(
        (on_reals + on_fakes) / 6, rel=1e-6
    )
    asked = softplus(0.5) + softplus(0.5) + softplus(-1)  # first: asked for class 1
    asked += softplus(0) + softplus(3) + softplus(1)  # second: class 0
    assert share(term, "generator", inputs) == pytest.approx(asked / 6, rel=1e-6)


def test_categorical_leaves_unknown_classes_out() -> None:
    real = [[2.0, 1.0, 0.5], [-1.0, 0.5, -2.0]]
    inputs = labelled_round(real, real, [[0], [-1]], [[0], [-1]])
    known = softplus(-2) + softplus(1) + softplus(-0.5)
    # Of the second only 'generated' counts: four values in all.
    assert share({"term": "categorical"}, "generator", inputs) == pytest.approx(
        (known + softplus(2)) / 4, rel=1e-6
    )


def test_categorical_flips_the_labels_of_some() -> None:
    # Always flipped: real ones are 'generated', generated ones of a random class.
    count = 2000
    inputs = labelled_round(
        [[0.0, 0.0, 0.0]] * count, [[0.0, 0.0, 0.0]] * count, [[0]] * count, [[0]] * count
    )
    for flip, expected in ((0.0, 0.0), (0.25, 0.25), (0.999999, 1.0)):
        torch.manual_seed(0)
        inputs.real.requires_grad_().grad = None
        inputs.fake.requires_grad_().grad = None
        fresh = inputs.changed()
        share({"term": "categorical", "flip": flip}, "discriminator", fresh, backward=True)
        assert inputs.real.grad is not None
        assert inputs.fake.grad is not None
        # d loss / d logit = (1/2 - target) / (3 * count) at logit 0; realness is minus the logit
        scale = 3 * count
        flipped_reals = (0.5 + inputs.real.grad[:, 2, 0, 0] * scale).mean().item()
        assert flipped_reals == pytest.approx(expected, abs=0.03)
        target = 0.5 - inputs.fake.grad[:, :2, 0, 0] * scale
        assert target.sum(dim=1).mean().item() == pytest.approx(expected, abs=0.03)
        assert target[:, 0].mean().item() == pytest.approx(expected / 2, abs=0.03)


def test_reconstructions() -> None:
    real, fake = [[2.0, 1.0, 0.0], [-1.0, 0.5, 1.0]], [[0.5, -0.5, 0.0], [0.0, 3.0, 2.0]]
    inputs = labelled_round(real, fake, [[0], [1]], [[1], [0]])
    on_reals = (4 + 1 + 0 + 1 + 0.25 + 1) / 4 / 6  # each value is missed by half of it
    on_fakes = (0.25 + 0.25 + 0 + 0 + 9 + 4) / 4 / 6
    for player, expected in (("discriminator", on_reals), ("generator", on_reals)):
        assert share({"term": "reconstruction"}, player, inputs) == pytest.approx(expected)
    for player, expected in (("discriminator", on_reals), ("generator", on_fakes)):
        assert share({"term": "autoencoder"}, player, inputs) == pytest.approx(expected)


def test_a_discriminator_that_pools_is_asked_for_what_it_saw() -> None:
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    inputs = judged_inputs([0.0], [0.0])
    inputs.real = images
    inputs.discriminate = lambda images, labels: Judgement(
        torch.zeros(1, 1), reconstruction=torch.zeros(1, 1, 2, 2)
    )
    quarters = [(0 + 1 + 4 + 5) / 4, (2 + 3 + 6 + 7) / 4, (8 + 9 + 12 + 13) / 4, 12.5]
    expected = sum(q * q for q in quarters) / 4
    assert share({"term": "autoencoder"}, "discriminator", inputs) == pytest.approx(expected)


def test_a_term_for_one_player_only() -> None:
    inputs = judged_inputs([2.0, -1.0], [0.5, -3.0])
    objective = Objective([TermConfig(term="hinge"), TermConfig(term="bce", only="discriminator")])
    assert set(objective.loss("discriminator", inputs)[1]) == {"hinge", "bce"}
    assert set(objective.loss("generator", inputs)[1]) == {"hinge"}


def test_what_counts_as_taken_for_real() -> None:
    real, fake = torch.tensor([[3.0], [1.0]]), torch.tensor([[-2.0], [0.0]])
    assert Objective([TermConfig(term="bce")]).boundary(real, fake) == 0
    critic = Objective([TermConfig(term="wasserstein")])
    assert critic.boundary(real, fake) == pytest.approx((2 - 1) / 2)


def test_self_supervised() -> None:
    # Painted is half of each value, so |x/2 - x| = |x|/2; and of a second part the triple: |x -
    # 3x| = 2|x|. The mean of |x| is 3/4; generated pictures are not painted again.
    inputs = labelled_round(
        [[1.0, -1.0], [0.5, 0.5]], [[9.0, 9.0], [9.0, 9.0]], [[0], [0]], [[0], [0]]
    )
    inputs.real.requires_grad_()
    term: dict[str, Any] = {"term": "self_supervised", "weight": 2.0}
    value = share(term, "discriminator", inputs, backward=True)
    assert value == pytest.approx(2 * (0.375 + 1.5))
    both = Objective([TermConfig(term="hinge"), TermConfig(term="self_supervised")])
    assert set(both.loss("generator", inputs)[1]) == {"hinge"}


@pytest.mark.parametrize(
    ("term", "player"),
    [
        ("auxiliary_classifier", "generator"),
        ("categorical", "generator"),
        ("reconstruction", "generator"),
        ("autoencoder", "generator"),
        ("self_supervised", "discriminator"),
    ],
)
def test_terms_say_what_they_need(term: str, player: str) -> None:
    with pytest.raises(ImpastoError, match=f"term '{term}' needs a discriminator that"):
        share({"term": term}, player, judged_inputs([0.0], [0.0]))


def test_scores() -> None:
    logits = torch.tensor([[0.0], [2.0]])
    probabilities = Objective([TermConfig(term="bce")]).score(logits).flatten().tolist()
    assert probabilities == pytest.approx([0.5, 1 / (1 + math.exp(-2))])
    assert torch.equal(Objective([TermConfig(term="hinge")]).score(logits), logits)


def test_wrong_objectives() -> None:
    with pytest.raises(ImpastoError, match=r"unknown term 'hing'; there is alignment, auto"):
        Objective([TermConfig(term="hing")])
    with pytest.raises(ImpastoError, match="no adversarial term"):
        Objective([TermConfig(term="gradient_penalty")])
    with pytest.raises(ImpastoError, match=r"unknown setting 'objective.hinge.slope'"):
        Objective([TermConfig.model_validate({"term": "hinge", "slope": 1})])
