"""Classes in the loop: what is shown, what is asked for, and where gradients go."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.networks import Judgement, build_generator
from impasto.registry import load_recipe
from impasto.sampling import find_model
from impasto.sampling.model import load_discriminator
from impasto.settings import change
from impasto.training import train
from impasto.training.heldout_probe import probe_heldout
from impasto.training.order import TurnOrder, equal_turns
from impasto.training.portions import Counted
from impasto.training.records import Averages
from impasto.training.resolve import resolve
from impasto.training.run_folder import Stats
from impasto.training.session import Session
from impasto.training.step_statistics import StepStatistics, note_judgements
from impasto.training.trainer import frozen
from tests.helpers.training import CPU, small


def session(config: RunConfig, collection: Collection) -> Session:
    return Session(resolve(config, collection), collection, CPU)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    batch=st.integers(1, 30),
    seed=st.integers(0, 2**40),
)
def test_classes_take_turns(sizes: list[int], batch: int, seed: int) -> None:
    groups = np.split(np.random.default_rng(0).permutation(sum(sizes)), np.cumsum(sizes)[:-1])
    order = TurnOrder(groups, equal_turns(np.array(sizes)), seed)
    count = len(sizes) * max(sizes) * 2
    shown = np.concatenate([order.places(start, batch) for start in range(0, count, batch)])[:count]
    for k, group in enumerate(groups):
        mine = shown[k :: len(sizes)]
        assert set(mine) <= set(group)
        for epoch in range(len(mine) // len(group)):
            part = mine[epoch * len(group) : (epoch + 1) * len(group)]
            assert sorted(part) == sorted(group)


def test_balanced_batches_and_labels(labelled: Collection) -> None:
    ready = session(small("gangogh"), labelled)  # genres: three classes and the unknown
    _, labels = ready.pictures.shown(0, 40)
    assert Counter(labels[:, 0].tolist()) == {-1: 10, 0: 10, 1: 10, 2: 10}
    torch.manual_seed(0)
    asked = Counter(ready.pictures.random_labels(4000)[:, 0].tolist())
    assert all(900 < count < 1100 for count in asked.values())
    assert len(asked) == 4
    plain = session(small("gangogh", training__balance=None), labelled)
    shares = Counter(plain.pictures.random_labels(4000)[:, 0].tolist())
    assert shares[0] > 1300  # landscapes are two of five


def test_labels_asked_for_occur_together(labelled: Collection) -> None:
    ready = session(small("gangogh_style_genre"), labelled)
    known = {tuple(row) for row in ready.pictures.combinations()[0].tolist()}
    asked = {tuple(row) for row in ready.pictures.random_labels(500).tolist()}
    assert asked <= known
    assert any(-1 in row for row in known)


def test_balance_by_a_field_that_is_no_label(labelled: Collection) -> None:
    with pytest.raises(
        ImpastoError, match=r"training.balance is 'style'.* genre: add --labels genre,style,"
    ):
        resolve(small("gangogh", training__balance="style"), labelled)


def test_the_label_feeds_back_through_the_discriminator(labelled: Collection) -> None:
    # With nothing but the class loss, what reaches the generator comes by the label.
    for recipe in ("gangogh", "artgan", "artgan_published", "gantor_v2"):
        ready = session(small(recipe), labelled)
        state, game = ready.state, ready.trainer
        images, labels = ready.pictures.shown(0, 8)
        round = game._step_inputs(images, labels, with_gradient=True)
        by_class = [
            t for t in ready.objective.terms if t.name in ("auxiliary_classifier", "categorical")
        ]
        loss = by_class[0].loss("generator", round, 0)
        assert loss is not None
        loss.backward()
        trained = [p for p in state.generator.parameters() if p.requires_grad]
        assert all(p.grad is not None for p in trained), recipe
        assert sum(float(p.grad.abs().sum()) for p in trained if p.grad is not None) > 0, recipe


def test_pictures_that_are_compared_one_by_one_are_of_the_same_classes(
    labelled: Collection,
) -> None:
    networks = {f"{player}.network": "fastgan" for player in ("generator", "discriminator")}
    widths = {"generator.width": 2, "discriminator.width": 2}
    settings = {"labels": ["genre", "style"], "training.batch": 8, **networks, **widths}
    for term, paired in (("relativistic", True), ("hinge", False)):
        config = change(small("first_look"), {**settings, "objective": [{"term": term}]})
        ready = session(config, labelled)
        rounds = []
        for start in range(0, 40, 8):
            images, labels = ready.pictures.shown(start, 8)
            rounds.append(ready.trainer._step_inputs(images, labels, with_gradient=False))
        same = all(torch.equal(made.fake_labels, made.real_labels) for made in rounds)
        assert same == paired


def test_reconstruction_trains_encoder_and_decoder(labelled: Collection) -> None:
    config = change(small("artgan"), {"objective.reconstruction.only": None})
    ready = session(config, labelled)
    generator: Any = ready.state.generator
    discriminator: Any = ready.state.discriminator
    term = next(t for t in ready.objective.terms if t.name == "reconstruction")

    def touched(network: torch.nn.Module) -> bool:
        grads = [p.grad for p in network.parameters()]
        assert all(g is None for g in grads) or all(g is not None for g in grads)
        return grads[0] is not None

    parts = [discriminator.encoder, discriminator.classifier, generator.z_net, generator.decoder]
    for player, expected in (
        ("discriminator", [True, False, False, False]),
        ("generator", [False, False, False, True]),
    ):
        for part in parts:
            part.zero_grad(set_to_none=True)
        images, labels = ready.pictures.shown(0, 8)
        made = ready.trainer._step_inputs(images, labels, with_gradient=False)
        others = (
            ready.trainer.generator_parameters
            if player == "discriminator"
            else ready.trainer.discriminator_parameters
        )
        with frozen(others):
            loss = term.loss(player, made.changed(), 0)
            assert loss is not None
            loss.backward()
        assert [touched(part) for part in parts] == expected
    # As the report has it, no step of an optimiser moves the encoder for it.
    assert load_recipe("artgan")().objective[1].only == "generator"


def test_real_noise_is_for_the_discriminators_turn_alone(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = session(small("artgan_tricks", training__real_noise=0.5), labelled)
    seen: dict[str, torch.Tensor] = {}
    loss = ready.objective.loss

    def watched(player: str, round: Any, **moment: Any) -> Any:
        seen[player] = round.real
        return loss(player, round, **moment)

    monkeypatch.setattr(ready.objective, "loss", watched)
    images, _ = ready.pictures.shown(0, 8)
    ready.trainer.step()
    assert torch.equal(seen["generator"], images)
    added = seen["discriminator"] - images
    assert added.std().item() == pytest.approx(0.5, rel=0.02)
    assert added.mean().item() == pytest.approx(0, abs=0.02)


def test_noise_on_generated_pictures_is_for_both_turns(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = session(small("artgan", training__fake_noise=0.5), labelled)
    seen: list[torch.Tensor] = []
    loss = ready.objective.loss

    def watched(player: str, round: Any, **moment: Any) -> Any:
        seen.append(round.fake)
        return loss(player, round, **moment)

    monkeypatch.setattr(ready.objective, "loss", watched)
    ready.state.generator.register_forward_hook(lambda *made: seen.append(made[2]))
    ready.trainer.step()
    clean, first, second = seen  # painted once, judged twice
    for noisy in (first, second):
        assert (noisy - clean).std().item() == pytest.approx(0.5, rel=0.02)
    assert not torch.equal(first, second)
    assert second.requires_grad
    assert not first.requires_grad


def test_learning_rates_follow_the_clock(labelled: Collection) -> None:
    settings: dict[str, Any] = {
        "generator_optimiser.learning_rate_decay": {"factor": 0.1, "images": 100, "smooth": False},
        "discriminator_optimiser.learning_rate_decay": {"factor": 0.5, "images": 8},
    }
    ready = session(change(small("artgan"), settings), labelled)
    found = []
    for images_seen in (0, 96, 104):
        ready.state.images_seen = images_seen
        ready.trainer.step()
        found.append(
            [optimiser.param_groups[0]["lr"] for optimiser in ready.state.optimisers.values()]
        )
    assert found[0] == pytest.approx([1e-3, 1e-3])
    assert found[1] == pytest.approx([1e-3, 1e-3 * 0.5**12])
    assert found[2] == pytest.approx([1e-4, 1e-3 * 0.5**13])


def test_accuracies(labelled: Collection) -> None:
    ready = session(small("artgan"), labelled)
    real = Judgement(torch.tensor([[2.0], [-1.0]]), (torch.tensor([[3.0, 0, 0], [0, 1, 0]]),))
    fake = Judgement(torch.tensor([[-2.0], [-1.0]]), (torch.tensor([[0, 1.0, 0], [0, 1, 0]]),))
    noted: dict[str, Counted] = {}
    of_real = (real, torch.tensor([[0], [-1]]))
    of_fake = (fake, torch.tensor([[2], [1]]))
    note_judgements(noted, ready.objective, of_real, of_fake, ("style",))
    statistics = StepStatistics()
    statistics.add(noted)
    found = {name: value.item() for name, value in statistics.means().items()}
    assert found["accuracy/real"] == 0.5
    assert found["accuracy/fake"] == 1.0
    assert found["accuracy/style/real"] == 1.0  # of one: the other's class is unknown
    assert found["accuracy/style/fake"] == 0.5
    for kind, judgement in (("real", real), ("fake", fake)):
        mean = ready.objective.score(judgement.realness).mean()
        assert found[f"score/{kind}"] == pytest.approx(mean.item())


def test_an_accuracy_of_nothing_does_not_count() -> None:
    averages = Averages()
    for value in (0.5, float("nan"), 1.0):
        averages.add({"accuracy/style/real": torch.tensor(value), "loss/x": torch.tensor(1.0)})
    assert averages.read()["accuracy/style/real"] == pytest.approx(0.75)
    averages.add({"accuracy/style/real": torch.tensor(float("nan")), "loss/x": torch.tensor(1.0)})
    assert set(averages.read()) == {"loss/x", "loss/x/max"}
    averages.add({"loss/x": torch.tensor(float("nan"))})
    assert np.isnan(averages.read()["loss/x"])  # a loss that is no number must show


def test_no_picture_is_judged_twice(labelled: Collection) -> None:
    for recipe, passes in (("gangogh", (3, 1)), ("artgan", (2, 2)), ("artgan_published", (2, 1))):
        settings = {"training__discriminator_steps": 1, "training__pretrain_images": 0}
        ready = session(small(recipe, **settings), labelled)
        calls: Counter[str] = Counter()
        for name in ("generator", "discriminator"):
            getattr(ready.state, name).register_forward_hook(
                lambda *_, name=name, calls=calls: calls.update([name])
            )
        ready.trainer.step()
        # gangogh: real, fake, between them; then fake. artgan: real, fake; then fake, real.
        assert calls == {"discriminator": sum(passes), "generator": 1}, recipe


def test_what_does_not_fit_is_said_before_a_run_begins(
    tiny: Collection, labelled: Collection
) -> None:
    with pytest.raises(
        ImpastoError, match="term 'auxiliary_classifier' needs a discriminator that"
    ):
        resolve(small("gangogh", labels=[], training__balance=None), labelled)
    with pytest.raises(ImpastoError, match="term 'reconstruction' needs"):
        resolve(small("artgan", discriminator={"network": "gangogh", "width": 4}), labelled)
    with pytest.raises(
        ImpastoError, match="do not fit together: the decoder takes features of 32 channels, not 64"
    ):
        resolve(small("artgan", discriminator__width=8), labelled)
    with pytest.raises(ImpastoError, match="no label field 'genre' in tiny; there is class"):
        resolve(small("gangogh"), tiny)
    with pytest.raises(ImpastoError, match="labels name 'style' twice: style, genre, style"):
        resolve(small("gangogh_style_genre", labels=["style", "genre", "style"]), labelled)


@pytest.mark.parametrize("settings", [{"batch": 1}, {"batch": 8, "accumulate": 8}])
def test_too_small_a_batch_is_said_before_a_run_begins(
    settings: dict[str, int], labelled: Collection, tmp_path: Path
) -> None:
    # This generator's first batch norm is one of each value, which takes two pictures.
    config = small("artgan_published", **{f"training__{k}": v for k, v in settings.items()})
    with pytest.raises(ImpastoError, match="fit together: Expected more than 1 value per channel"):
        train(config, labelled, out=tmp_path, device="cpu")
    assert not list(tmp_path.iterdir())


def test_a_field_without_a_known_class_is_refused(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labelled.labels.copy()
    labels[labelled.train_indices, labelled.field("genre")] = -1  # only held-out ones are known
    monkeypatch.setattr(labelled, "labels", labels)
    with pytest.raises(ImpastoError, match=r"every training picture of .* is of unknown genre"):
        resolve(small("gangogh"), labelled)
    resolve(small("artgan"), labelled)


def test_the_published_figures() -> None:
    def rates(name: str) -> list[float]:
        config = load_recipe(name)()
        return [
            config.generator_optimiser.learning_rate,
            config.discriminator_optimiser.learning_rate,
        ]

    gangogh = load_recipe("gangogh")()
    assert (gangogh.training.batch, gangogh.training.discriminator_steps) == (84, 5)
    assert gangogh.training.pretrain_images == 2000 * 84
    assert gangogh.latent.dim == 128
    assert {t.term: t.weight for t in gangogh.objective} == {
        "wasserstein": 1, "gradient_penalty": 10, "auxiliary_classifier": 1,
    }  # fmt: skip
    assert gangogh.generator_optimiser.betas == (0.5, 0.9)
    assert rates("gangogh") == [1e-4, 1e-4]
    assert rates("artgan") == [1e-3, 1e-3]
    assert rates("artgan_published") == [1e-4, 1e-3]
    published = load_recipe("artgan_published")()
    assert (published.latent.dim, published.latent.distribution) == (100, "uniform")
    assert (published.resolution, published.discriminator.options["pool"]) == (128, 2)
    for version, field in (("gantor_v1", "style"), ("gantor_v2", "genre")):
        config = load_recipe(version)()
        assert config.first_stage is not None
        assert (config.first_stage.resolution, config.resolution) == (64, 256)
        assert config.labels == config.first_stage.labels == (field,)
    assert list(load_recipe("gangogh_style_genre")().labels) == ["style", "genre"]


def test_the_discriminator_is_asked_about_held_out_pictures(
    labelled: Collection, tmp_path: Path
) -> None:
    # Layer norm, so that the checkpoint's critic answers the same whatever the batch.
    run = train(small("gangogh", training__images=80), labelled, out=tmp_path, device="cpu")
    row = Stats(run).rows()[-1]
    network = load_discriminator(find_model(run))
    count = len(labelled.heldout_indices)
    spread = np.linspace(0, len(labelled.train_indices) - 1, count).round().astype(int)
    found = {"heldout": labelled.heldout_indices, "shown": labelled.train_indices[spread]}
    for kind, indices in found.items():
        images = torch.from_numpy(labelled.images(indices)).permute(0, 3, 1, 2) / 127.5 - 1
        labels = torch.from_numpy(labelled.labels[indices, 1:])
        judgement = network(images, labels)
        assert row[f"score/{kind}"] == pytest.approx(judgement.realness.mean().item(), abs=1e-4)
        known = labels[:, 0] >= 0
        right = (judgement.class_logits[0].argmax(1) == labels[:, 0])[known]
        assert row[f"accuracy/genre/{kind}"] == pytest.approx(right.float().mean().item())


class Brightness(torch.nn.Module):
    """Takes a picture to be as real as it is bright."""

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> Judgement:
        return Judgement(images.mean(dim=(1, 2, 3))[:, None])


def _ask(ready: Session, judge: torch.nn.Module, fakes: torch.Tensor) -> dict[str, float]:
    labels = torch.zeros(len(fakes), 0, dtype=torch.int64)
    return probe_heldout(judge, ready.objective, ready.pictures, (), (fakes, labels))


def test_how_much_is_known_by_heart(tiny: Collection) -> None:
    ready = session(small("ukiyoe_dcgan_v1"), tiny)
    count = len(tiny.heldout_indices)
    shown = float(ready.pictures.fixed(count)[0].mean())
    heldout = tiny.images(tiny.heldout_indices).mean().item() / 127.5 - 1
    dark = torch.full((4, 3, 32, 32), -1.0)
    found = _ask(ready, Brightness(), dark)
    assert found["overfitting"] == pytest.approx((shown - heldout) / (shown + 1), rel=1e-4)
    assert found["score/sampled"] == pytest.approx(1 / (1 + np.e), rel=1e-5)
    # Where generated pictures are taken for more real than training ones, there is no such way.
    assert "overfitting" not in _ask(ready, Brightness(), -dark)


def test_global_conditioning_can_be_left_out() -> None:
    labels, latents = torch.tensor([[0], [1]]), torch.randn(1, 8).expand(2, 8)

    def build(conditioned: bool) -> torch.nn.Module:
        options = {"width": 4, "global_conditioning": conditioned}
        return build_generator("gangogh", options, latent_dim=8, resolution=16, label_sizes=(3,))

    with_gates, without = build(True), build(False)
    gated = {n for n, _ in with_gates.named_parameters()} - {
        n for n, _ in without.named_parameters()
    }
    assert gated
    assert all(name.startswith("gates.") for name in gated)
    images = without.eval()(latents, labels)
    assert not torch.equal(images[0], images[1])  # it is still told, at the first layer
