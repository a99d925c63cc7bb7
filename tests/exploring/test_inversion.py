"""Inversion: the points nearest to given pictures."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import impasto
from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.exploring.descent import Comparison, Descent, axes_of
from impasto.exploring.inverting import Inversion, Inverter, Search, distances_of
from impasto.exploring.tuning import tuned
from impasto.features import load_network
from impasto.networks import generator_of
from impasto.networks._frozen_features import FrozenFeatures
from impasto.sampling import Model
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import invoke

FEW = {"steps": 3, "starts": 2, "candidates": 8, "device": "cpu"}


class Zero(Comparison):
    """No error at all, so that only the prior acts."""

    def __init__(self) -> None:
        pass

    def losses(self, images: Tensor) -> Tensor:
        return 0 * images.sum((1, 2, 3))


class Colours(nn.Module):
    """Pictures of one colour, from three values of the latent; all classes are alike."""

    def forward(self, latents: Tensor, weights: Tensor) -> Tensor:
        grey = latents.flatten(1)[:, :3] + 0 * weights.sum(1, keepdim=True)
        return grey[:, :, None, None].expand(-1, -1, 8, 8).tanh()


def smooth_model(folder: Path) -> Path:
    """A model of random weights whose pictures have no pure black or white, where gradients vanish."""
    rough = Model.load(random_model(folder / "rough", "self-modulated")).record
    options = {**rough.generator.model_dump(), "spectral_norm": False}
    network = NetworkConfig.model_validate(options)
    record = rough.model_copy(update={"generator": network})
    torch.manual_seed(0)
    generator: Any = generator_of(record, record.label_sizes).eval().requires_grad_(False)
    for parameter in generator.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, 0.1)
    (layer,) = generator.to_rgb.values()
    sizes: list[float] = []
    hook = layer.register_forward_hook(lambda _m, _i, output: sizes.append(float(output.std())))
    generator(torch.randn(8, 16), torch.zeros(8, 1, dtype=torch.int64))
    hook.remove()
    layer.weight.mul_(0.5 / sizes[-1])
    (folder / "smooth").mkdir()
    Model.write(folder / "smooth", generator.state_dict(), record)
    return folder / "smooth"


def test_the_loss_is_that_of_the_formula() -> None:
    features = FrozenFeatures(32)
    random = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 32, 32, generator=random) * 2 - 1
    image = torch.rand(2, 3, 32, 32, generator=random) * 2 - 1
    target[1], image[1] = 0.25, -0.25  # plain ones: every scale has the same error
    comparison = Comparison(features, target)
    assert torch.allclose(comparison.losses(target), torch.zeros(2), atol=1e-6)
    found = comparison.losses(image)
    for number in range(2):
        pixels = 0.0
        apart = (image[number] - target[number]).numpy()
        for side in (1, 2, 4, 8):
            blocks = apart.reshape(3, 32 // side, side, 32 // side, side).mean((2, 4))
            pixels += side * float(np.mean(blocks**2))
        maps = 0.0
        for one, other in zip(features(image[[number]]), features(target[[number]]), strict=True):
            cosine = F.cosine_similarity(
                one, other, dim=1
            )  # of unit vectors: |a - b|^2 = 2 - 2 cos
            maps += float((2 - 2 * cosine).mean())
        assert float(found[number]) == pytest.approx(pixels + 3 * maps, rel=1e-3)
    assert float(comparison.losses(image)[1]) >= 15 * 0.25


def test_the_axes_are_those_along_which_pictures_change() -> None:
    """Three combinations of the latent decide on pictures of one colour, each less than the last."""
    random = torch.Generator().manual_seed(2)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=random))[0]
    strengths = torch.tensor([1.0, 0.1, 0.01])

    class Turned(nn.Module):
        def forward(self, latents: Tensor, weights: Tensor) -> Tensor:
            colours = (latents @ turn)[:, :3] * strengths
            return colours[:, :, None, None].expand(-1, -1, 8, 8)

    done: list[int] = []
    latents = torch.randn(40, 6, generator=random)
    axes = axes_of(Turned(), latents, torch.zeros(40, 2), done.append)
    assert torch.allclose(axes.T @ axes, torch.eye(6), atol=1e-5)
    for number in range(3):  # eigenvalues ascend
        along = float((axes[:, 5 - number] @ turn[:, number]).abs())
        assert along > 0.98, number
    assert done[-1] == 40


@settings(max_examples=8)
@given(scale=st.floats(0.2, 3), levels=st.booleans())
def test_the_prior_leads_to_latents_as_the_model_knows_them(scale: float, levels: bool) -> None:
    random = torch.Generator().manual_seed(1)
    start = scale * torch.randn(3, 24, generator=random)
    axes = torch.linalg.qr(torch.randn(24, 24, generator=random))[0]
    weights = torch.tensor([[0.5, 0.5, 0, 1.0, 0]] * 3)
    descent = Descent(Colours(), start, weights, (3, 2), LatentConfig(dim=24), axes)
    if levels:
        descent.separate(4)
    descent.run(Zero(), 60, lambda: None)
    latents, found = descent.values()
    assert latents.shape == ((3, 4, 24) if levels else (3, 24))
    size = latents.square().mean(-1)
    # Two standard deviations of the mean of 24 squares, and what the descent leaves.
    assert (size - 1).abs().max() < 2 * (2 / 24) ** 0.5 + 0.1
    assert torch.equal(found, weights)


def test_latents_and_weights_stay_where_they_may_be() -> None:
    class Pull(Zero):
        def losses(self, images: Tensor) -> Tensor:
            return -1000 * images.sum((1, 2, 3))

    class All(nn.Module):
        def forward(self, latents: Tensor, weights: Tensor) -> Tensor:
            together = latents.sum(1) + weights[:, :2].sum(1) - weights[:, 2:].sum(1)
            return together[:, None, None, None].expand(-1, 3, 8, 8)

    uniform = LatentConfig(dim=4, distribution="uniform")
    start = torch.tensor([[0.9, -0.9, 0, 0.5]])
    descent = Descent(
        All(), start, torch.tensor([[0.99, 0.01, 0.01, 0.5]]), (2, 2), uniform, torch.eye(4)
    )
    descent.run(Pull(), 200, lambda: None)
    latents, weights = descent.values()
    assert torch.equal(latents, torch.ones(1, 4))
    assert float(weights[0, :2].sum()) == pytest.approx(1)
    assert weights.min() == 0
    assert float(weights[0, 2]) == 0


def test_pictures_of_the_model_come_back(tmp_path: Path) -> None:
    model = smooth_model(tmp_path)
    painter = Painter.load(model, batch=4)
    seeds = [9001, 9002, 9003]
    labels = painter.labels(seeds, {})
    targets = np.concatenate(list(painter.paint(seeds, labels)))
    search = Search(steps=80, starts=1, candidates=48)
    found = Inverter(painter, search, load_network("lite0")).invert(targets)
    assert float(found.distances[-1].quantile(0.5)) < found.usual / 10
    assert torch.equal(found.points.classes.argmax(1), labels[:, 0])
    assert (found.distances[-1] < found.distances[0]).all()
    (painted,) = painter.paint_points(found.points)
    assert np.abs(painted.astype(int) - found.way[-1]).max() <= 1
    assert np.abs(painted.astype(int) - targets).mean() < 10


def test_a_point_that_is_found_is_not_left(tmp_path: Path) -> None:
    """The pictures of candidates are found at once, and no step makes the result worse."""
    painter = Painter.load(smooth_model(tmp_path), batch=4)
    seeds = [3, 6]
    targets = np.concatenate(list(painter.paint(seeds, painter.labels(seeds, {}))))
    search = Search(steps=20, starts=2, candidates=8)
    found = Inverter(painter, search, load_network("lite0")).invert(targets)
    assert found.distances.max() < 0.05 * found.usual


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flow"])
def test_every_generator_of_one_step(kind: str, tmp_path: Path) -> None:
    model = Model.load(random_model(tmp_path / "m", kind))
    target = model.sample([77])
    found = impasto.invert(model, target, **FEW)  # type: ignore[arg-type]
    assert found.points.model == model.record.weights_sha256
    assert found.way.shape == (4, 1, 32, 32, 3)
    assert found.distances.shape == (4, 1)
    latents = found.points.latents.clone().requires_grad_()
    model.generator(latents, found.points.classes).sum().backward()
    assert latents.grad is not None  # through all stages
    if kind == "dcgan":
        assert found.points.latents.abs().max() <= 1
    again = impasto.invert(model, target, **FEW)  # type: ignore[arg-type]
    assert torch.equal(again.points.latents, found.points.latents)


def test_a_latent_for_each_level(tmp_path: Path) -> None:
    model = smooth_model(tmp_path)
    target = Model.load(model).sample([77, 78, 79])
    options: Any = {**FEW, "steps": 12, "batch": 2}
    whole = impasto.invert(model, target, **options)
    levels = impasto.invert(model, target, levels=True, **options)
    assert levels.points.latents.ndim == 3
    assert levels.points.latents.shape[1] == Painter.load(model).levels
    assert levels.points.latents.std(1).max() > 1e-3
    saved = levels.points.save(tmp_path / "p.safetensors")
    again = Points.load(saved, Model.load(model).record)
    (painted,) = Painter.load(model).paint_points(again)
    assert np.abs(painted.astype(int) - levels.way[-1]).max() <= 1
    assert whole.points.latents.ndim == 2


@pytest.mark.parametrize(("starts", "levels"), [(1, False), (2, False), (1, True)])
def test_progress_ends_at_its_total(starts: int, levels: bool, tmp_path: Path) -> None:
    shown: dict[tuple[str, int], list[int]] = {}

    @contextmanager
    def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
        yield shown.setdefault((what, total), []).append

    model = Model.load(smooth_model(tmp_path))
    impasto.invert(
        model,
        model.sample([77, 78, 79]),
        steps=2,
        starts=starts,
        candidates=20,
        levels=levels,
        batch=2,
        device="cpu",
        progress=progress,
    )
    # For each of two batches 2 steps, and from each of several starts 1 (0.3 of 2, but at least 1).
    steps = 2 * (2 + (starts if starts > 1 else 0))
    assert list(shown) == [("candidates", 20), ("gradients", 20), ("steps", steps)]
    assert shown["steps", steps] == list(range(1, steps + 1))
    for (_, total), counts in shown.items():
        assert counts == sorted(counts)
        assert counts[-1] == total


def test_the_command(tmp_path: Path) -> None:
    model = random_model(tmp_path / "m", "artgan")
    code, text = invoke("sample", model, "--seeds", "5,6", "--out", tmp_path / "p")
    assert code == 0, text
    Image.new("L", (50, 20), 90).save(tmp_path / "grey.jpg")
    files = [*sorted((tmp_path / "p").glob("*.png")), tmp_path / "grey.jpg"]
    options = ["--steps", 2, "--starts", 1, "--candidates", 8, "--device", "cpu", "--batch", 2]
    code, text = invoke("invert", model, *files, *options, "--out", tmp_path / "i.safetensors")
    assert code == 0, text
    assert "grey.jpg" in text
    assert "3 points in" in text
    sheet = Image.open(tmp_path / "i.png")
    assert sheet.height > 3 * 32
    assert sheet.width > 5 * 32
    points = ["--points", tmp_path / "i.safetensors"]
    code, text = invoke("sample", model, *points, "--grid", tmp_path / "g.png")
    assert code == 0, text


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    model = random_model(tmp_path / "m", "dcgan")
    flow = random_model(tmp_path / "f", "flow")
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(picture)
    (tmp_path / "text.png").write_text("no picture")
    few = ["--candidates", 4, "--starts", 1, "--steps", 1]
    for arguments, message in (
        ([flow, picture, *few], "only models that make it in one can be inverted"),
        ([model, tmp_path / "none.png", *few], "there is no picture"),
        ([model, tmp_path, *few], "is a folder; name its pictures"),
        ([model, tmp_path / "text.png", *few], "text.png cannot be used"),
        ([model, picture, *few, "--levels"], "leave out --levels"),
        ([model, picture, *few, "--fit", "tiles"], "--fit takes crop, squash, pad"),
        ([model, picture, *few, "--starts", 5], "--candidates at least --starts"),
        ([model, picture, *few, "--out", tmp_path / "o.json"], "kept in a .safetensors file"),
        ([model, picture, "--steps", 0], "--steps and --starts are from 1"),
        ([model, picture, "--starts", 0], "--steps and --starts are from 1"),
        ([model, picture, "--candidates", 1], "--candidates at least --starts"),
    ):
        code, text = invoke("invert", *arguments)
        assert code == 2, text
        assert message in text
    with pytest.raises(ImpastoError, match=r"uint8 \[N, 32, 32, 3\]"):
        impasto.invert(model, np.zeros((1, 16, 16, 3), np.uint8), **FEW)  # type: ignore[arg-type]


def test_tuning_moves_the_picture_to_its_target_and_holds_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.exploring.tuning.STEPS", 20)
    monkeypatch.setattr("impasto.exploring.tuning._RATE", 2e-3)
    model = Model.load(smooth_model(tmp_path))
    painter = Painter.of(model)
    # A picture that the model cannot paint: a smooth one of colours of its own.
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8))
    target = np.array(small.resize((32, 32)))[None]
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    seeds = range(40, 48)
    own = model.sample(seeds).astype(int)
    points = painter.points([5], painter.labels([5], {}))
    way = np.stack(list(painter.paint_points(points)))
    network = load_network("lite0")
    start = Inversion(points, way, ("end",), distances_of(network, way, target), 1.0)
    moved = {}
    for holding in (10.0, 0.0):
        monkeypatch.setattr("impasto.exploring.tuning._HOLDING", holding)
        bent = tuned(painter, model, start, target, ["a"], network)
        assert bent.inversion.moments == ("end", "tuned")
        (painted,) = Painter.of(bent.model).paint_points(points)
        assert np.array_equal(painted, bent.inversion.way[-1])
        apart = [
            float(np.abs(each[0].astype(int) - target[0]).mean()) for each in bent.inversion.way
        ]
        assert apart[1] < apart[0]
        assert not torch.equal(bent.inversion.distances[0], bent.inversion.distances[1])
        moved[holding] = float(np.abs(bent.model.sample(seeds).astype(int) - own).mean())
    assert moved[10.0] < 0.7 * moved[0.0]
    for name, value in model.generator.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_tuned_model_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.exploring.tuning.STEPS", 1)
    model = random_model(tmp_path / "m", "artgan")
    record = Model.load(model).record
    Image.new("RGB", (50, 20), (90, 20, 30)).save(tmp_path / "red.png")
    few = ["--steps", 1, "--starts", 1, "--candidates", 4, "--device", "cpu"]
    out = ["--out", tmp_path / "i.safetensors", "--tune", tmp_path / "bent"]
    code, text = invoke("invert", model, tmp_path / "red.png", *few, *out)
    assert code == 0, text
    assert "when tuned" in text
    bent = Model.load(tmp_path / "bent").record
    assert bent.weights_sha256 != record.weights_sha256
    assert bent.collection.sources == record.collection.sources + 1
    assert bent.collection.licences["unknown"] == record.collection.licences.get("unknown", 0) + 1
    (by,) = bent.tuned
    assert by.model == record.weights_sha256
    assert by.pictures == ("red.png",)
    plain = np.full((32, 32, 3), (90, 20, 30), np.uint8)
    assert by.sha256 == (hashlib.sha256(plain.tobytes()).hexdigest(),)
    points = ["--points", tmp_path / "i.safetensors", "--grid", tmp_path / "g.png"]
    code, text = invoke("sample", tmp_path / "bent", *points)
    assert code == 0, text
    code, text = invoke("sample", model, *points)
    assert code == 2, text
    assert "points of another generator" in text
    code, text = invoke("invert", model, tmp_path / "red.png", *few, *out)
    assert code == 2, text
    assert "bent exists already" in text
    # Tuning it again keeps both records.
    again = impasto.invert(
        tmp_path / "bent",
        [tmp_path / "red.png"],
        tune=tmp_path / "twice",
        steps=1,
        starts=1,
        candidates=4,
        device="cpu",
    )
    twice = Model.load(tmp_path / "twice").record
    assert again.points.model == twice.weights_sha256
    assert [each.model for each in twice.tuned] == [record.weights_sha256, bent.weights_sha256]
