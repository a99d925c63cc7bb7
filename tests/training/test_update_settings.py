"""Settings of the updates of both networks: several generator steps, weight clipping, mixed batches."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.networks import Judgement
from impasto.objectives import StepInputs
from impasto.training.estimate import estimate
from impasto.training.portions import seed_portion
from impasto.training.resolve import resolve
from impasto.training.session import Session
from impasto.training.trainer import Trainer
from tests.helpers.training import CPU, Brightness, Flat, session, small


def plain(collection: Collection, **settings: Any) -> Trainer:
    """A trainer of two networks that can be calculated by hand, with plain gradient descent."""
    rates = {
        f"{network}_optimiser__learning_rate": 0.1 for network in ("generator", "discriminator")
    }
    config = resolve(small(**{**rates, **settings}), collection)
    ready = Session(config, collection, CPU)
    state = ready.state
    state.discriminator, state.generator, state.average = Brightness(), Flat(), Flat()
    state.discriminator_optimiser = torch.optim.SGD(state.discriminator.parameters(), 0.1)
    state.generator_optimiser = torch.optim.SGD(state.generator.parameters(), 0.1)
    return Trainer(config, ready.objective, ready.pictures, state)


def watch(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, StepInputs]]:
    """From now on the network, the number of its update and the inputs of each loss."""
    seen: list[tuple[str, int, StepInputs]] = []
    loss = trainer.objective.loss

    def watched(network: str, inputs: StepInputs, **moment: Any) -> Any:
        seen.append((network, moment["update"], inputs))
        return loss(network, inputs, **moment)

    monkeypatch.setattr(trainer.objective, "loss", watched)
    return seen


@pytest.mark.parametrize("accumulate", [1, 4])
def test_several_generator_steps_by_hand(tiny: Collection, accumulate: int) -> None:
    trainer = plain(
        tiny,
        training__generator_steps=3,
        training__accumulate=accumulate,
        training__ema_half_life=8,
    )
    statistics = trainer.step()
    weight, colour = trainer.state.discriminator.weight, trainer.state.generator.colour
    assert isinstance(weight, Tensor)
    assert isinstance(colour, Tensor)
    # D(G(z)) is the sum over channels of tanh(colour) times a third of the mean weight there, and the
    # loss of the generator is log(1 + exp(-D)).
    slopes = [float(w) / 3 for w in weight.detach().double().view(3, -1).mean(dim=1)]
    values, losses = [0.0, 0.0, 0.0], []
    for _ in range(3):
        realness = sum(s * math.tanh(v) for s, v in zip(slopes, values, strict=True))
        losses.append(math.log1p(math.exp(-realness)))
        pull = 1 / (1 + math.exp(realness))
        values = [
            v + 0.1 * pull * s * (1 - math.tanh(v) ** 2)
            for s, v in zip(slopes, values, strict=True)
        ]
    assert colour.flatten().tolist() == pytest.approx(values, rel=1e-4)
    assert statistics["loss/generator"].item() == pytest.approx(sum(losses) / 3, rel=1e-5)
    # The clock is of real images, and one step's average moves half the way in a half-life of 8.
    assert (trainer.state.images_seen, trainer.state.steps) == (8, 1)
    average = trainer.state.average.colour
    assert isinstance(average, Tensor)
    assert average.flatten().tolist() == pytest.approx([v / 2 for v in values], rel=1e-4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_further_generator_steps_draw_anew(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    settings: dict[str, Any] = {
        "training__discriminator_steps": 2,
        "training__generator_steps": 3,
        "training__accumulate": accumulate,
        "training__hide_labels": 0.5,
    }
    trainer = session(small("artgan", **settings), labelled).trainer
    seen = watch(trainer, monkeypatch)
    for _ in range(2):
        trainer.step()
    updates = [number for network, number, _ in seen if network == "generator"]
    assert updates == [number for number in range(6) for _ in range(accumulate)]
    last = [inputs for network, number, inputs in seen if (network, number) == ("discriminator", 3)]
    for update in range(3):
        made = [inputs for network, n, inputs in seen if (network, n) == ("generator", 3 + update)]
        for portion, (new, old) in enumerate(zip(made, last, strict=True)):
            assert torch.equal(new.real, old.real)
            assert torch.equal(new.latents, old.latents) == (update == 0)
            assert torch.equal(new.fake_labels, old.fake_labels) == (update == 0)
            # Numbers 0 and 1 are the discriminator's two updates, of which the last one's images are
            # used; new ones have the numbers after those and the first generator update's.
            seed_portion(0, 1, 1 if update == 0 else 2 + update, portion)
            torch.rand(new.real_labels.shape)  # which labels are hidden
            assert torch.equal(new.latents, torch.randn(8 // accumulate, 100))


def test_an_estimate_counts_the_gradients_of_every_update(tiny: Collection) -> None:
    config = small(training__generator_steps=3, training__discriminator_steps=2)
    told = estimate(config, tiny, device="cpu", steps=1)
    networks = 2 * told.discriminator_parameters + 3 * told.generator_parameters
    assert told.gradient_bytes == 4 * networks


@pytest.mark.parametrize("accumulate", [1, 2])
def test_weights_are_clipped_after_each_update_by_hand(
    tiny: Collection, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    settings: dict[str, Any] = {
        "training__discriminator_steps": 2,
        "training__accumulate": accumulate,
        "objective": [{"term": "wasserstein"}],
    }
    trainer = plain(tiny, training__clip_weights=0.01, **settings)
    watched = watch(trainer, monkeypatch)
    used: list[Tensor] = []
    step = trainer.state.optimisers["discriminator_optimiser"].step

    def stepped() -> None:
        used.append(torch.cat([p.detach().flatten() for p in trainer.discriminator_parameters]))
        step()

    monkeypatch.setattr(trainer.state.discriminator_optimiser, "step", stepped)
    trainer.step()
    # The critic's loss is mean D(fake) - mean D(real) with D(x) = w . x / n: its gradient is
    # (mean fake - mean real) / n, whatever w is, and the rate is 0.1.
    values = torch.linspace(-1, 1, 3 * 32 * 32)
    for update in range(2):
        torch.testing.assert_close(used[update], values, rtol=0, atol=1e-7)
        parts = [i for network, n, i in watched if (network, n) == ("discriminator", update)]
        real, fake = (
            torch.cat([getattr(i, kind).detach() for i in parts]).flatten(1).mean(dim=0)
            for kind in ("real", "fake")
        )
        values = values - 0.1 * (fake - real) / len(values)
        assert values.abs().max() > 0.01
        values = values.clamp(-0.01, 0.01)
    weight = trainer.state.discriminator.weight
    assert isinstance(weight, Tensor)
    torch.testing.assert_close(weight.detach(), values, rtol=0, atol=1e-7)


def test_a_frozen_part_is_not_clipped(tiny: Collection) -> None:
    config = resolve(small(training__clip_weights=0.001), tiny)
    ready = Session(config, tiny, CPU)
    first, *others = ready.state.discriminator.parameters()
    first.requires_grad_(False)
    before = first.clone()
    Trainer(config, ready.objective, ready.pictures, ready.state).step()
    assert torch.equal(first, before)
    assert float(before.abs().max()) > 0.001
    # The largest float32 up to 0.001; every other parameter was clipped, the generator's were not.
    assert all(float(p.detach().abs().max()) <= torch.tensor(0.001).item() for p in others)
    now = torch.cat([p.detach().flatten() for p in ready.state.generator.parameters()])
    assert float(now.abs().max()) > 0.9


@pytest.mark.parametrize("accumulate", [1, 2])
def test_batches_are_mixed_in_the_discriminators_updates_only(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    """At the drawn places a real and a generated picture, with their labels, change places."""
    settings: dict[str, Any] = {
        "training__batch": 24,
        "training__accumulate": accumulate,
        "training__discriminator_steps": 2,
    }
    trainer = session(small("artgan", **settings, training__mix_batches=0.3), labelled).trainer
    seen = watch(trainer, monkeypatch)
    trainer.step()
    by_update = {
        key: [inputs for network, number, inputs in seen if (network, number) == key]
        for key in (("discriminator", 0), ("discriminator", 1), ("generator", 0))
    }
    moved = []
    for portion in range(accumulate):
        # The generator's inputs are the last update's own pictures, where nothing is mixed.
        pure = by_update["generator", 0][portion]
        given = by_update["discriminator", 1][portion]
        shown, _ = trainer.pictures.shown(24 + portion * 24 // accumulate, 24 // accumulate)
        assert torch.equal(pure.real, shown)
        # The portion's own seed, and the draws before: labels, then latents.
        seed_portion(0, 0, 1, portion)
        trainer.pictures.random_labels(24 // accumulate)
        torch.randn(24 // accumulate, 100)
        places = (torch.rand(24 // accumulate) < 0.3).tolist()
        moved += places
        for place, change in enumerate(places):
            one, other = (pure.fake, pure.real) if change else (pure.real, pure.fake)
            assert torch.equal(given.real[place], one[place].detach())
            assert torch.equal(given.fake[place], other[place].detach())
            labels = (pure.real_labels, pure.fake_labels)
            one, other = labels[::-1] if change else labels
            assert torch.equal(given.real_labels[place], one[place])
            assert torch.equal(given.fake_labels[place], other[place])
    assert 0 < sum(moved) < 24


def test_statistics_of_mixed_batches_are_of_real_and_of_generated_pictures(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve(
        small(
            "artgan",
            training__batch=24,
            training__mix_batches=0.5,
            training__augment={"kinds": ["flip"], "target": 0.6, "probability": 0.0},
        ),
        labelled,
    )
    ready = Session(config, labelled, CPU)
    classes = ready.label_sizes[0]

    class Black(torch.nn.Module):
        """A discriminator that is right about all: generated pictures are black. It names class 0."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, images: Tensor, labels: Tensor) -> Judgement:
            black = (images.flatten(1).amax(dim=1, keepdim=True) <= -1).float()
            logits = torch.zeros(len(images), classes)
            logits[:, 0] = 3.0
            return Judgement(self.weight * (2 - 5 * black), (logits,), images)

    state = ready.state
    state.discriminator = Black()
    state.discriminator_optimiser = torch.optim.SGD(state.discriminator.parameters(), 0.0)
    trainer = Trainer(config, ready.objective, ready.pictures, state)
    seen: list[StepInputs] = []
    monkeypatch.setattr(
        trainer, "_generate", lambda latents, labels: torch.full((24, 3, 32, 32), -1.0)
    )

    def loss(network: str, inputs: StepInputs, **moment: Any) -> Any:
        seen.append(inputs)
        value = inputs.real_judgement.realness.mean() - inputs.fake_judgement.realness.mean()
        return value, {}

    monkeypatch.setattr(trainer.objective, "loss", loss)
    monkeypatch.setattr(trainer, "_generator_update", lambda *_: None)
    told = trainer.step()
    (inputs,) = seen
    black = inputs.real.flatten(1).amax(dim=1) <= -1
    assert 4 < int(black.sum()) < 20
    # The loss is of the batches as they are mixed; all else is of what the pictures are.
    share = black.float().mean().item()
    assert told["loss/discriminator"].item() == pytest.approx(5 - 10 * share, rel=1e-5)
    assert told["accuracy/real"] == told["accuracy/fake"] == 1
    assert told["score/real"].item() == pytest.approx(1 / (1 + math.exp(-2)), rel=1e-5)
    assert told["score/fake"].item() == pytest.approx(1 / (1 + math.exp(3)), rel=1e-5)
    _, labels = ready.pictures.shown(0, 24)
    known = labels[labels >= 0]
    share = (known == 0).float().mean().item()
    assert told["accuracy/style/real"].item() == pytest.approx(share)
    assert state.adaptive is not None
    # Every real picture is called real, whatever batch it is in: 24 signs of 1.
    assert state.adaptive.state[2:].tolist() == [24, 24, 1]
