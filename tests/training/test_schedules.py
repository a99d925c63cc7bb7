"""What changes over a run or between updates: ramps, lazy terms, mirrored, hidden and augmented."""

import math
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.config import Ramp, RunConfig, TermConfig, at
from impasto.errors import ImpastoError
from impasto.objectives import Objective, StepInputs
from impasto.registry import load_recipe
from impasto.settings import change, parse_settings
from impasto.training.doctor import Intervention
from impasto.training.resolve import resolve
from impasto.training.session import Session
from impasto.training.trainer import Trainer
from tests.helpers.judgements import judged_inputs
from tests.helpers.training import CPU, Brightness, Flat, session, small

HINGE = TermConfig(term="hinge")


def test_a_ramp_by_hand() -> None:
    ramp = Ramp(start=2.0, end=0.4, images=1_000)
    assert ramp.at(0) == 2.0
    assert ramp.at(250) == pytest.approx(0.4 + 1.6 * (1 + math.sqrt(0.5)) / 2)
    assert ramp.at(500) == pytest.approx(1.2)
    assert ramp.at(750) == pytest.approx(0.4 + 1.6 * (1 - math.sqrt(0.5)) / 2)
    assert ramp.at(1_000) == pytest.approx(0.4)
    assert ramp.at(10**9) == pytest.approx(0.4)
    assert at(ramp, 500) == ramp.at(500)
    assert at(3.0, 500) == 3.0


def test_ramps_are_set_changed_and_replaced() -> None:
    config: RunConfig = load_recipe("ukiyoe_dcgan_v1")()
    ramp = {"start": 10.0, "end": 20.0, "images": 100}
    texts = ["training.ema_half_life={start: 10, end: 20, images: 100}"]
    changed = change(config, parse_settings(texts))
    assert changed.training.ema_half_life == Ramp(**ramp)
    changed = change(changed, {"training.ema_half_life.end": 30})
    assert changed.training.ema_half_life == Ramp(**{**ramp, "end": 30.0})
    assert change(changed, {"training.ema_half_life": 5}).training.ema_half_life == 5
    betas = {"generator_optimiser.betas": [0.0, {"start": 0.9, "end": 0.99, "images": 100}]}
    changed = change(config, betas)
    assert changed.generator_optimiser.betas[1] == Ramp(start=0.9, end=0.99, images=100)  # type: ignore[union-attr]
    changed = change(changed, {"generator_optimiser.betas.1": 0.95})
    assert changed.generator_optimiser.betas == (0.0, 0.95)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.ema_half_life={start: 1, end: 2}", r"ema_half_life\.images: is missing"),
        (
            "training.ema_half_life={start: 1, end: 2, images: 9, step: 1}",
            r"ema_half_life\.step: there is no such setting",
        ),
        ("training.ema_half_life={start: -1, end: 2, images: 9}", "ema_half_life: .* equal to 0"),
        ("training.ema_half_life={start: 1, end: 2, images: 0}", r"images: .* greater than 0"),
        ("training.ema_half_life=soon", "ema_half_life: Input should be a valid number"),
        ("training.ema_half_life.end=2", "what stands before '.end' is a plain value"),
        ("training.hide_labels={start: 2, end: 0, images: 9}", "hide_labels: .* from 0 to 1"),
        ("objective.bce.weight={start: 2, end: -1, images: 9}", "weight: .* equal to 0"),
        ("objective.bce.every=0", r"every: .* greater than 0"),
        (
            "generator_optimiser.learning_rate={start: 1, end: 0, images: 9}",
            "learning_rate: .* greater than 0",
        ),
        (
            "generator_optimiser.betas=[0, {start: 0.9, end: 1, images: 9}]",
            r"betas\.1: .* below 1",
        ),
        ("training.augment={kinds: 3}", "kinds: should be a list"),
        ("training.augment={target: 0.6}", "augment.kinds: is missing"),
        (
            "training.augment={kinds: [hue], target: 0, probability: {start: 0, end: 1, images: 9}}",
            "cannot follow a ramp too",
        ),
    ],
)
def test_wrong_schedules_say_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        change(load_recipe("ukiyoe_dcgan_v1")(), parse_settings([text]))


def test_optimisers_follow_the_clock(tiny: Collection) -> None:
    rate = {"start": 1e-3, "end": 1e-4, "images": 100}
    beta = {"start": 0.9, "end": 0.99, "images": 100}
    config = small(generator_optimiser__learning_rate=rate, generator_optimiser__betas=[0.5, beta])
    state = session(config, tiny).state
    (group,) = state.generator_optimiser.param_groups
    for images, shares in ((0, 0.0), (50, 0.5), (100, 1.0), (900, 1.0)):
        state.images_seen = images
        state.schedule(config)
        assert group["lr"] == pytest.approx(1e-3 + shares * (1e-4 - 1e-3))
        assert group["betas"] == (0.5, pytest.approx(0.9 + shares * 0.09))
    state.interventions = (Intervention(symptom="", words="", seen_at=9, back_to=0),)
    state.schedule(config)
    assert group["lr"] == pytest.approx(0.5e-4)


def test_a_lazy_term_by_hand() -> None:
    # D(x) and D(G(z)) at 0 on two pictures of one pixel: hinge is 2, and for D(x) = x R1 is 1/2.
    round = judged_inputs([0.0, 0.0], [0.0, 0.0])
    lazy = Objective([HINGE, TermConfig(term="r1", weight=0.5, every=4)])
    always = Objective([HINGE, TermConfig(term="r1", weight=0.5)])
    shares: list[set[str]] = []
    totals: list[float] = []
    for update in range(8):
        total, told = lazy.loss("discriminator", round, update=update)
        totals.append(total.item())
        shares.append(set(told))
        if "r1" in told:
            assert told["r1"].item() == pytest.approx(0.25)  # as it is on average
    assert totals == pytest.approx([3.0, 2.0, 2.0, 2.0] * 2)
    assert shares == [{"hinge", "r1"}, {"hinge"}, {"hinge"}, {"hinge"}] * 2
    mean = sum(totals) / len(totals)
    assert mean == pytest.approx(always.loss("discriminator", round)[0].item())
    assert [lazy.needs_gradient_of("real", "discriminator", update) for update in range(5)] == [
        update % 4 == 0 for update in range(5)
    ]
    assert not lazy.needs_gradient_of("fake", "discriminator", 0)
    assert not lazy.needs_gradient_of("real", "generator", 0)


def test_a_weight_follows_its_ramp() -> None:
    round = judged_inputs([0.0], [0.0])
    ramp = Ramp(start=4.0, end=0.0, images=100)
    objective = Objective([HINGE, TermConfig(term="hinge", weight=ramp)])
    for images, expected in ((0, 10.0), (50, 6.0), (100, 2.0)):
        total, _ = objective.loss("discriminator", round, images_seen=images)
        assert total.item() == pytest.approx(expected)


def test_a_player_is_never_without_a_loss(tiny: Collection) -> None:
    with pytest.raises(ImpastoError, match=r"discriminator a loss in every update.*`every`"):
        resolve(small(objective__bce__every=2), tiny)


def test_the_second_update_is_rehearsed_where_it_lacks_a_term(
    tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[int] = []
    loss = Objective.loss

    def noted(self: Objective, role: str, inputs: StepInputs, *, update: int) -> Any:
        played.append(update)
        return loss(self, role, inputs, update=update)

    monkeypatch.setattr(Objective, "loss", noted)
    for every, expected in ((1, [0, 0]), (2, [0, 0, 1, 1])):
        objective = [{"term": "hinge"}, {"term": "r1", "every": every}]
        resolve(small(objective=objective), tiny)
        assert played == expected
        played.clear()


def watch(ready: Session, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[StepInputs]]:
    """The rounds that losses are computed from from now on, by player, with their moments."""
    seen: dict[str, list[StepInputs]] = defaultdict(list)
    loss = ready.objective.loss

    def watched(player: str, round: StepInputs, **moment: Any) -> Any:
        seen[player].append(round)
        seen[f"{player} updates"].append(moment["update"])
        return loss(player, round, **moment)

    monkeypatch.setattr(ready.objective, "loss", watched)
    return seen


def test_updates_are_counted_by_network(tiny: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = session(small(training__discriminator_steps=2, training__accumulate=2), tiny)
    seen: Any = watch(ready, monkeypatch)
    for _ in range(2):
        ready.trainer.step()
    # Two portions an update.
    assert seen["discriminator updates"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert seen["generator updates"] == [0, 0, 1, 1]


def test_half_of_the_real_pictures_are_mirrored(labelled: Collection) -> None:
    config = small("artgan", training__mirror=True, training__batch=200)
    ready = session(config, labelled)
    torch.manual_seed(0)
    shown, labels = ready.trainer._pictures(0, 0)
    images, known = ready.pictures.shown(0, 200)
    assert torch.equal(labels, known)
    same = (shown == images).flatten(1).all(dim=1)
    mirrored = (shown == images.flip(3)).flatten(1).all(dim=1)
    assert bool((same ^ mirrored).all())
    assert 80 < int(mirrored.sum()) < 120
    plain = session(small("artgan", training__batch=200), labelled)
    shown, _ = plain.trainer._pictures(0, 0)
    assert torch.equal(shown, images)


def test_labels_are_hidden_from_both_players(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = {"start": 1.0, "end": 0.0, "images": 800}
    settings: dict[str, Any] = {"labels": ["style", "genre"], "training__batch": 400}
    ready = session(small("artgan", **settings, training__hide_labels=ramp), labelled)
    _, known = ready.pictures.shown(400, 400)
    made: list[Tensor] = []
    asked = ready.pictures.random_labels

    def random_labels(count: int) -> Tensor:
        made.append(asked(count))
        return made[-1]

    monkeypatch.setattr(ready.pictures, "random_labels", random_labels)
    seen = watch(ready, monkeypatch)
    for _ in range(3):
        ready.trainer.step()
    first, half, last = seen["discriminator"]
    assert (first.real_labels == -1).all()
    assert (first.fake_labels == -1).all()
    assert torch.equal(last.fake_labels, made[2])
    for told, real in ((half.real_labels, known), (half.fake_labels, made[1])):
        hidden = (told == -1) & (real != -1)
        assert torch.equal(told, torch.where(hidden, -1, real))  # the others are as they were
        for field in range(2):
            there = real[:, field] != -1
            assert 0.4 < float(hidden[there, field].float().mean()) < 0.6
        both = (real != -1).all(dim=1)
        assert 0.15 < float(hidden[both].all(dim=1).float().mean()) < 0.35  # each by itself
    # The generator is judged by the labels that it was told.
    assert torch.equal(seen["generator"][1].fake_labels, half.fake_labels)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_both_players_see_real_and_generated_pictures_augmented(
    accumulate: int, tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    augment = {"kinds": ["brightness"]}
    config = small(training__augment=augment, training__accumulate=accumulate)
    ready = session(config, tiny)
    made: list[Tensor] = []
    ready.state.generator.register_forward_hook(lambda *call: made.append(call[2]))
    seen = watch(ready, monkeypatch)
    ready.trainer.step()
    part = 8 // accumulate
    for player in ("discriminator", "generator"):
        # In one piece the fakes are made once for both.
        fakes = made[-accumulate:] if player == "generator" else made[:accumulate]
        for number, (round, fake) in enumerate(zip(seen[player], fakes, strict=True)):
            clean, _ = ready.pictures.shown(number * part, part)
            for shown, images in ((round.real, clean), (round.fake, fake)):
                added = (shown - images).detach().flatten(1)
                assert added.std(dim=1).max() < 1e-6  # the same all over a picture
                assert added[:, 0].abs().min() > 1e-6  # and in every one another
                assert len(added[:, 0].unique()) == part
    assert seen["generator"][0].fake.requires_grad
    assert not seen["discriminator"][0].fake.requires_grad


def test_as_many_are_augmented_as_the_ramp_says(tiny: Collection) -> None:
    ramp = {"start": 0.0, "end": 1.0, "images": 200}
    config = small(training__augment={"kinds": ["brightness"], "probability": ramp})
    game = session(config, tiny).trainer
    images = torch.zeros(1_000, 3, 2, 2)
    torch.manual_seed(0)
    for moment, expected in ((0, 0.0), (100, 0.5), (200, 1.0)):
        game.state.images_seen = moment
        changed = (game._augmented(images, 0.0) != 0).flatten(1).any(dim=1)
        assert float(changed.float().mean()) == pytest.approx(expected, abs=0.05)


def plain_trainer(config: RunConfig, collection: Collection) -> tuple[Trainer, Session]:
    """A game of a linear discriminator and one-coloured pictures, by plain gradient descent."""
    config = resolve(config, collection)
    ready = Session(config, collection, CPU)
    state = ready.state
    state.discriminator, state.generator, state.average = Brightness(), Flat(), Flat()
    state.discriminator_optimiser = torch.optim.SGD(state.discriminator.parameters(), 0.1)
    state.generator_optimiser = torch.optim.SGD(state.generator.parameters(), 0.1)
    return Trainer(config, ready.objective, ready.pictures, state), ready


@pytest.mark.parametrize(("term", "kind"), [("r1", "real"), ("r2", "fake")])
def test_penalties_are_on_the_pictures_before_augmentation(
    term: str, kind: str, tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Contrast multiplies a picture by c. Of D(c x) = <w, c x> / N the gradient with respect to x is
    # c w / N; with respect to what is shown, c x, it would be w / N.
    config = small(
        objective=[{"term": "hinge"}, {"term": term}], training__augment={"kinds": ["contrast"]}
    )
    game, ready = plain_trainer(config, tiny)
    with torch.no_grad():
        ready.state.generator.colour.fill_(0.3)  # type: ignore[operator]
    weight = ready.state.discriminator.weight.detach().clone()  # type: ignore[operator]
    seen = watch(ready, monkeypatch)
    statistics = game.step()
    round = seen["discriminator"][0]
    origin, shown = getattr(round, f"{kind}_origin"), getattr(round, kind).detach()
    factors = shown.flatten(1).norm(dim=1) / origin.detach().flatten(1).norm(dim=1)
    assert factors.std() > 0.05
    squared = float((weight / weight.numel()).square().sum())
    expected = float(factors.square().mean()) * squared / 2
    assert statistics[f"term/{term}/discriminator"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("terms", [["r1"], ["r1", "r2"]])
def test_penalties_in_portions_add_up_to_those_of_the_batch(
    terms: list[str], tiny: Collection
) -> None:
    objective = [{"term": "hinge"}, *({"term": term, "weight": 500.0} for term in terms)]
    found = []
    for accumulate in (1, 4):
        config = small(objective=objective, training__accumulate=accumulate)
        game, ready = plain_trainer(config, tiny)
        statistics = game.step()
        weight = ready.state.discriminator.weight
        assert isinstance(weight, Tensor)
        assert weight.grad is not None
        found.append((weight.grad, statistics))
    (whole, told), (parts, told_in_parts) = found
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-9)
    assert told.keys() == told_in_parts.keys()
    for name in terms:
        share = told[f"term/{name}/discriminator"].item()
        assert share == pytest.approx(told_in_parts[f"term/{name}/discriminator"].item(), rel=1e-5)
        assert share > 1e-3


@pytest.mark.parametrize("bias", [5.0, -5.0])
def test_a_sure_discriminator_sees_more_augmentations(bias: float, tiny: Collection) -> None:
    # Every picture is taken for real, or none: after four updates of 8 pictures of 100 it is a step.
    augment = {"kinds": ["hue"], "target": 0.6, "images": 100, "probability": 0.5}
    config = small(objective=[{"term": "hinge"}], training__augment=augment)
    game, ready = plain_trainer(config, tiny)
    torch.nn.init.constant_(ready.state.discriminator.weight, 0.0)  # type: ignore[arg-type]
    ready.state.discriminator.register_forward_hook(
        lambda _module, _given, said: said._replace(realness=said.realness + bias)
    )
    adaptive = ready.state.adaptive
    assert adaptive is not None
    for expected in (0.5, 0.5, 0.5, 0.5 + math.copysign(0.32, bias)):
        told = game.step()
        assert adaptive.probability.item() == pytest.approx(expected)
        assert told["augment/probability"].item() == pytest.approx(expected)
        assert float(game._probability()) == pytest.approx(expected)


@pytest.mark.parametrize("kinds", ["colour", "[colour]"])
def test_one_augmentation_may_be_named_without_brackets(kinds: str) -> None:
    config = change(
        load_recipe("flagship_64")(), parse_settings([f"training.augment.kinds={kinds}"])
    )
    assert config.training.augment is not None
    assert config.training.augment.kinds == ("colour",)
