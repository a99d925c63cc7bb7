"""Recipes that go on from a finished model: with its networks, and nearer to the real moments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.metrics import Moments
from impasto.metrics.frechet import frechet_distance
from impasto.networks.flow import Generator
from impasto.registry import load_recipe
from impasto.sampling import Model, Sampler, latents_of_seeds
from impasto.settings import change
from impasto.training.choosing import choose
from impasto.training.pretrained import PretrainedModel
from impasto.training.resolve import resolve
from impasto.training.session import Session
from impasto.training.transfer import begin, settled
from tests.helpers.command_line import invoke
from tests.helpers.training import CPU, SMALL, session, small

FAMILIES = {
    "dcgan": "ukiyoe_dcgan_v1",
    "lean": "first_look",
    "fastgan": "flagship_32",
    "r3gan": "r3gan_32",
    "artgan": "artgan",
    "gangogh": "gangogh",
    "flow": "flow_32",
}
QUICK = {**SMALL, "objective": [{"term": "frechet", "networks": ["pixels"]}]}


def write(folder: Path, ready: Session) -> Path:
    """The model of a session, with its discriminator."""
    folder.mkdir()
    judge = None if ready.config.discriminator is None else ready.state.discriminator.state_dict()
    Model.write(folder, ready.state.average.state_dict(), ready.model_record(), judge)
    return folder


def going_on(recipe: str, model: Path, collection: Collection, **settings: Any) -> Session:
    """A session that has begun with a model."""
    more = {name.replace("__", "."): value for name, value in settings.items()}
    choice = choose(recipe, collection, {**QUICK, **more}, start_from=model)
    source = PretrainedModel.load(model)
    config = settled(resolve(choice.config, collection), collection, source)
    ready = Session(config, collection, CPU)
    taken = begin(ready.state, source, ready.model_record())
    assert taken.generator.new == ()
    ready.prepare()
    return ready


@pytest.mark.parametrize("family", FAMILIES)
def test_any_generator_is_polished(family: str, labelled: Collection, tmp_path: Path) -> None:
    labels = [] if family in ("dcgan", "lean") else ["genre"]
    first = session(small(FAMILIES[family], labels=labels), labelled)
    model = write(tmp_path / "model", first)
    ready = going_on("polish_64", model, labelled)
    assert ready.config.generator == first.config.generator
    assert ready.config.latent == first.config.latent
    assert ready.config.labels == tuple(labels)
    assert ready.config.discriminator is None
    before = {name: value.clone() for name, value in ready.state.generator.named_parameters()}
    statistics = ready.trainer.step()
    assert all(value.isfinite() for value in statistics.values())
    moved = [
        (value - before[name]).abs().max()
        for name, value in ready.state.generator.named_parameters()
    ]
    assert 0 < max(moved) < 1e-3


def moments_of(images: Tensor) -> Moments:
    """Of images averaged to 4 x 4."""
    parts = images.unflatten(3, (4, -1)).unflatten(2, (4, -1)).mean((3, 5))
    return Moments.of(parts.flatten(1))


def to_the_real(ready: Session) -> float:
    """The distance of 64 pictures' moments to those of the training pictures."""
    sampler = Sampler(ready.state.average, ready.config.latent, CPU)
    latents = latents_of_seeds(range(64), ready.config.latent)
    made = moments_of(sampler.images(latents, torch.zeros(64, 0, dtype=torch.int64)))
    real = moments_of(torch.cat(list(ready.pictures.once())))
    return frechet_distance(made.mean, made.covariance, real.mean, real.covariance)


def test_one_step_comes_nearer_to_the_real_moments(tiny: Collection, tmp_path: Path) -> None:
    first = session(small("flow_32", training__ema_half_life=0), tiny)
    for _ in range(20):
        first.trainer.step()
    model = write(tmp_path / "model", first)
    rate = {"start": 3e-5, "end": 3e-7, "images": 1280}
    ready = going_on(
        "flow_64_one_step",
        model,
        tiny,
        training__batch=32,
        training__ema_half_life=0,
        generator_optimiser__learning_rate=rate,
        objective__frechet__decay=0.8,
    )
    generator = ready.state.generator
    assert isinstance(generator, Generator)
    assert (generator.steps, generator.sampler, generator.guidance) == (1, "euler", 1.0)
    assert ready.config.generator.options["patch"] == 4  # as in the model, not in the recipe
    before = to_the_real(ready)
    for _ in range(40):
        ready.trainer.step()
    assert to_the_real(ready) < 0.75 * before
    # It is sampled so without being told.
    saved = write(tmp_path / "one", ready)
    one = Model.load(saved)
    assert np.array_equal(one.sample([5]), Model.load(saved, steps=1).sample([5]))
    assert not np.array_equal(one.sample([5]), Model.load(saved, steps=2).sample([5]))


def test_it_goes_on_from_a_flow_with_guidance(labelled: Collection, tmp_path: Path) -> None:
    """The model has learned pictures without labels, so the run need not."""
    known = labelled.only("style=Cubism")
    flow = {"labels": ["style"], "generator__guidance": 2.0, "generator__steps": 2}
    learned = session(small("flow_32", training__hide_labels=0.1, **flow), known)
    model = write(tmp_path / "guided", learned)
    ready = going_on("polish_64", model, known, resolution=32)
    assert isinstance(ready.state.generator, Generator)
    assert ready.state.generator.guidance == 2
    ready.trainer.step()
    never = session(small("flow_32", labels=["style"], training__hide_labels=0), known)
    plain = write(tmp_path / "plain", never)
    with pytest.raises(ImpastoError, match=r"learned none of these: --set generator\.guidance=1"):
        going_on("polish_64", plain, known, resolution=32, generator__guidance=2.0)


def test_the_gradient_goes_through_all_steps() -> None:
    """Against differences, of a flow of three steps in float64."""
    torch.manual_seed(0)
    generator = Generator(latent_dim=192, resolution=8, patch=2, steps=3, sampler="euler").double()
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, 0, 0.05)
    latents, labels = torch.randn(2, 192).double(), torch.zeros(2, 0, dtype=torch.int64)
    weights = torch.randn(2, 3, 8, 8).double()
    bias = generator.condition.last.bias

    def loss() -> Tensor:
        return (generator(latents, labels) * weights).sum()

    (gradient,) = torch.autograd.grad(loss(), bias)
    place, step = int(gradient.abs().argmax()), 1e-5
    values = []
    for moved in (step, -step):
        with torch.no_grad():
            bias[place] += moved
            values.append(loss().item())
            bias[place] -= moved
    assert gradient[place].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_a_discriminator_is_the_models_or_new(labelled: Collection, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "discriminator": {"network": "lean"},
        "discriminator_optimiser": {"optimiser": "adam", "learning_rate": 1e-4},
        "objective": [{"term": "hinge"}, {"term": "frechet"}],
        "resolution": 32,
    }
    beside_hinge = change(load_recipe("polish_64")(), settings)
    gan = write(tmp_path / "gan", session(small(), labelled))
    flow = write(tmp_path / "flow", session(small("flow_32"), labelled))
    for model, network, width in ((gan, "dcgan", 4), (flow, "lean", None)):
        mine = choose(beside_hinge, labelled, {}, start_from=model).config.discriminator
        assert mine is not None
        assert (mine.network, mine.options.get("width")) == (network, width)


def test_other_steps_are_no_other_generator(labelled: Collection, tmp_path: Path) -> None:
    flow = write(tmp_path / "flow", session(small("flow_32"), labelled))
    source = PretrainedModel.load(flow)
    for settings, rampup in (({"steps": 7}, None), ({"patch": 2}, 0.05)):
        named = {f"generator__{name}": value for name, value in settings.items()}
        config = resolve(small("flow_32", **named), labelled)
        assert settled(config, labelled, source).training.ema_rampup == rampup


def test_what_cannot_be_gone_on_from_is_one_line(labelled: Collection, tmp_path: Path) -> None:
    code, text = invoke("train", "polish_64", "--data", labelled.path, "--out", tmp_path / "runs")
    assert code == 2
    assert "recipe polish_64 goes on from a finished run or model: name it with --from" in text
    model = write(tmp_path / "model", session(small("first_look"), labelled))
    with pytest.raises(ImpastoError, match=r"of 64 pixels, .* 32: --set resolution=32"):
        choose("polish_64", labelled, {}, start_from=model)
    with pytest.raises(
        ImpastoError, match="generators of network 'flow', and that model's is 'lean'"
    ):
        choose("flow_64_one_step", labelled, {"resolution": 32}, start_from=model)
