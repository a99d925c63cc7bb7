"""Directions: how they are found, kept, and used by `sample --edit`."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import impasto
from impasto.collection import Collection, PackOptions, pack
from impasto.config import LatentConfig
from impasto.errors import ImpastoError
from impasto.evaluation.gather import silent
from impasto.exploring.attributes import ATTRIBUTES, measured
from impasto.exploring.columns import learn_column, values_of
from impasto.exploring.directions import About, Directions, note_beyond, parse_edits, usual_path
from impasto.exploring.finding import (
    Readings,
    Wanted,
    _activations,
    _compared,
    _sampled,
    find,
    similarities,
    strip,
)
from impasto.exploring.linear import correlation, fit, ridge
from impasto.exploring.unsupervised import components, most_changing
from impasto.features import FeatureNetwork
from impasto.sampling import Sampler
from impasto.sampling.model import Model, find_model
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import invoke
from tests.helpers.pictures import paint
from tests.helpers.records import record_of

FIELDS: dict[str, tuple[str, ...]] = {"style": ("Cubism", "Rococo", "Ukiyo-e")}


class Known(nn.Module):
    """Pictures of one colour: red follows the first value of the latent, blue the second, and each class
    is darker than the one before."""

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        dark = labels[:, :1] if not labels.is_floating_point() else labels.argmax(1, keepdim=True)
        colour = torch.stack([latents[:, 0], 0 * latents[:, 0], latents[:, 1]], dim=1)
        colour = 0.15 * colour - 0.3 * dark
        return colour[:, :, None, None].expand(-1, -1, 8, 8).clamp(-1, 1)


def known(dim: int = 4) -> Painter:
    record = record_of(FIELDS, [(0,), (1,), (2,)], [1, 5, 3])
    latent = LatentConfig(dim=dim)
    record = record.model_copy(update={"latent": latent, "weights_sha256": "a" * 64})
    return Painter(Sampler(Known(), latent, label_fields=1), record)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("model") / "m", "self-modulated")


@pytest.fixture(scope="module")
def found(model: Path) -> Directions:
    return impasto.directions(model, samples=128, components=2, device="cpu")


def test_ridge_is_least_squares_with_a_penalty() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 5)), random.normal(size=(30, 2))
    weights, offset = ridge(torch.from_numpy(x), torch.from_numpy(y), 0.1)
    # The same by NumPy: rows of the penalty beside the centred data.
    wide = np.vstack([x - x.mean(0), np.sqrt(3.0) * np.eye(5)])
    tall = np.vstack([y - y.mean(0), np.zeros((5, 2))])
    expected = np.linalg.lstsq(wide, tall, rcond=None)[0]
    assert np.allclose(weights.numpy(), expected)
    assert np.allclose(offset.numpy(), y.mean(0) - x.mean(0) @ expected)


@given(st.integers(2, 12), st.integers(2, 12))
def test_ridge_of_few_rows_and_of_many_are_one_function(rows: int, columns: int) -> None:
    random = torch.Generator().manual_seed(rows * 100 + columns)
    x = torch.randn(rows, columns, generator=random, dtype=torch.float64)
    y = torch.randn(rows, 1, generator=random, dtype=torch.float64)
    weights, offset = ridge(x, y, 0.5)
    # At the minimum the gradient of the penalised error is zero.
    error = x @ weights + offset - y
    assert torch.allclose(x.T @ error + 0.5 * rows * weights, torch.zeros_like(weights), atol=1e-9)
    assert abs(float(error.sum())) < 1e-9


def test_correlation_is_that_of_rows_that_were_not_fitted() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=random)
    noise = torch.randn(400, generator=random)
    y = torch.stack([2 * x[:, 0] - x[:, 3] + 1, noise, x[:, 1] + noise], dim=1)
    result = fit(x, y)
    assert result.correlation[0] > 0.999
    assert abs(result.correlation[1]) < 0.25  # nothing to learn
    assert 0.5 < result.correlation[2] < 0.85  # the truth is 0.71
    unit = result.weights[:, 0] / result.weights[:, 0].norm()
    truth = torch.tensor([2.0, 0, 0, -1, 0, 0], dtype=torch.float64) / 5**0.5
    assert float(unit @ truth) > 0.999
    a, b = x[:, :2].double(), y[:, :2].double()
    expected = [np.corrcoef(a[:, place], b[:, place])[0, 1] for place in range(2)]
    assert correlation(a, b).tolist() == pytest.approx(expected)
    assert correlation(a, torch.ones(400, 2)).tolist() == [0, 0]


def test_rows_of_a_group_are_held_out_together() -> None:
    """Ten copies of each of 12 rows, with values by chance: a copy on the other side would tell."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(12, 20, generator=random).repeat_interleave(10, 0)
    y = torch.randn(12, 1, generator=random).repeat_interleave(10, 0)
    assert fit(x, y).correlation[0] > 0.95
    assert fit(x, y, torch.arange(12).repeat_interleave(10)).correlation[0] < 0.9


def test_attributes_of_known_pictures() -> None:
    grey = np.full((8, 8, 3), 102, np.uint8)
    warm = np.zeros((8, 8, 3), np.uint8)
    warm[..., 0] = 255
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, 4:] = 255
    values = measured(torch.from_numpy(np.stack([grey, warm, halves])))
    table = {name: values[:, place].tolist() for place, name in enumerate(ATTRIBUTES)}
    assert table["brightness"] == pytest.approx([0.4, 0.299, 0.5])
    assert table["warmth"] == pytest.approx([0, 1, 0], abs=1e-6)
    assert table["saturation"] == pytest.approx([0, 1, 0], abs=1e-6)
    assert table["contrast"] == pytest.approx([0, 0, 0.5 * (64 / 63) ** 0.5], abs=1e-6)
    # Of 6 x 6 places two columns meet the edge; the gradient there is half the step.
    assert table["edges"] == pytest.approx([0, 0, 0.5 * 2 / 6], abs=1e-6)


def test_directions_of_a_generator_that_is_known() -> None:
    painter = known()
    found = find(painter, Wanted(samples=512, components=0))
    by_name = {each.name: place for place, each in enumerate(found.about)}
    assert found.names[0] == "rococo-to-ukiyo-e"  # the two most frequent classes
    warm = found.latents[by_name["warmth"]]
    expected = torch.tensor([1.0, -1, 0, 0]) / 2**0.5
    assert torch.allclose(warm, expected, atol=0.03)
    bright = found.latents[by_name["brightness"]]
    expected = torch.tensor([0.299, 0.114, 0, 0])
    assert torch.allclose(bright, expected / expected.norm(), atol=0.05)
    correlations = {each.name: each.correlation for each in found.about}
    assert (correlations["warmth"] or 0) > 0.98
    assert "edges" not in by_name  # the same in all pictures
    # Brightness differs by class, too; within classes it is known nearly exactly.
    assert (correlations["brightness"] or 0) > 0.95
    points = strip(painter, found, by_name["warmth"], seed=3)
    (images,) = painter.paint_points(points)
    warmth = measured(torch.from_numpy(images))[:, 1]
    assert (warmth.diff() > 0).all()
    assert [origin.edits["warmth"] for origin in points.origins] == [-3, -2, -1, 0, 1, 2, 3]
    classes = strip(painter, found, 0, seed=3).classes
    assert torch.equal(classes[[0, -1]], torch.eye(3)[[1, 2]])
    assert torch.allclose(classes.sum(1), torch.ones(7))


def test_principal_components_of_a_linear_layer() -> None:
    random = torch.Generator().manual_seed(2)
    z = torch.randn(600, 5, generator=random)
    basis = torch.linalg.qr(torch.randn(5, 5, generator=random))[0]
    activations = z @ basis @ torch.diag(torch.tensor([9.0, 4, 2, 1, 0.5]))
    found = components(activations, z, 2)
    for place in range(2):
        assert abs(float(found[place] @ basis[:, place])) > 0.99
    assert torch.allclose(found.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flow"])
def test_directions_that_change_the_first_layer_most(kind: str, tmp_path: Path) -> None:
    """They are those of the weights' singular vectors, for every generator."""
    loaded = Model.load(random_model(tmp_path / "m", kind))
    painter = Painter.of(loaded)
    size = painter.record.latent.size
    found = most_changing(painter.sampler.generator, size, painter.labels([0], {}), 3)
    generator: Any = painter.sampler.generator
    base = generator.base if kind == "stacked" else generator
    layers = [each for each in base.modules() if isinstance(each, nn.ConvTranspose2d | nn.Linear)]
    weights = [
        each.weight.flatten(1) if isinstance(each, nn.ConvTranspose2d) else each.weight.T
        for each in layers
    ]
    # Where classes are inputs of this layer too, they come after the latent.
    matrix = next(each for each in weights if len(each) >= size)[:size]
    left, _, _ = torch.linalg.svd(matrix.double(), full_matrices=False)
    for place in range(3):
        assert abs(float(found[place].double() @ left[:, place])) > 0.999


@pytest.mark.parametrize("batch", [7, 64])
def test_activations_are_those_of_the_seeds(batch: int, tmp_path: Path) -> None:
    """Not of the pictures with which a sampler fills up its portions, nor of its first one."""
    painter = Painter.load(random_model(tmp_path / "m", "artgan"), batch=batch)
    activations = _activations(painter)
    assert activations is not None
    sample = _sampled(painter, Wanted(samples=70), activations, silent)
    assert sample.activations is not None
    seen: list[Tensor] = []
    hook = activations._layer.register_forward_hook(
        lambda _m, _i, output: seen.append(output.flatten(1).clone())
    )
    with torch.no_grad():
        painter.sampler.generator(painter.latents(range(70)), painter.labels(range(70), {}))
    hook.remove()
    assert torch.allclose(sample.activations, seen[0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_generator_has_directions(kind: str, tmp_path: Path) -> None:
    folder = random_model(tmp_path / "m", kind)
    found = impasto.directions(folder, samples=64, components=2, device="cpu", batch=32)
    names = set(found.names)
    assert set(ATTRIBUTES) <= names
    assert ({"pc1", "pc2", "sefa1", "sefa2"} <= names) == (kind != "flow")
    assert ("cubism-to-rococo" in names) == (kind != "dcgan")
    lengths = found.latents[found.names.index("warmth")].norm()
    assert float(lengths) == pytest.approx(3**-0.5 if kind == "dcgan" else 1, rel=1e-4)
    loaded = Directions.load(folder / "directions.safetensors", Model.load(folder).record)
    assert loaded.about == found.about
    assert torch.equal(loaded.latents, found.latents)
    assert torch.equal(loaded.classes, found.classes)


@given(
    amount=st.floats(-10, 10),
    levels=st.sampled_from([None, 3]),
    first=st.sampled_from(["a", "b"]),
)
def test_an_edit_and_its_opposite(amount: float, levels: int | None, first: str) -> None:
    record = known().record
    vectors = torch.tensor([[1.0, 0, 0, 0], [0, 0.6, 0.8, 0]])
    weights = torch.tensor([[0.0, 0, 0], [-1, 1, 0]])
    about = (About(name="a", how=""), About(name="b", how=""))
    found = Directions(about, vectors, weights, record.weights_sha256, record.recipe)
    latents = torch.randn(2, 4) if levels is None else torch.randn(2, levels, 4)
    points = Points.make(record, latents, torch.tensor([[0], [2]]))
    moved = found.edited(points, {first: amount})
    back = found.edited(moved, {first: -amount})
    assert torch.allclose(back.latents, points.latents, atol=1e-4)
    assert torch.allclose(back.classes, points.classes, atol=1e-4)
    assert moved.origins[0].edits == {first: amount}
    assert back.origins[0].edits == {first: 0}
    other = "b" if first == "a" else "a"
    one = found.edited(found.edited(points, {first: amount}), {other: 1.0})
    both = found.edited(points, {other: 1.0, first: amount})
    assert torch.allclose(one.latents, both.latents, atol=1e-4)


def test_pictures_are_edited(model: Path, found: Directions, tmp_path: Path) -> None:
    folder = find_model(model)
    assert (folder / "directions.safetensors").is_file()
    base = ["sample", model, "--seeds", "4,9", "--device", "cpu"]
    for out, more in (("plain", []), ("same", ["--edit", "warmth=0"])):
        code, text = invoke(*base, *more, "--out", tmp_path / out)
        assert code == 0, text
    edits = ["--edit", "warmth=+2", "--edit", "cubism-to-rococo=0.5"]
    code, text = invoke(*base, *edits, "--out", tmp_path / "edited")
    assert code == 0, text
    name = "seed-00000009.png"
    images = {
        out: np.asarray(Image.open(tmp_path / out / name)) for out in ("plain", "same", "edited")
    }
    assert np.array_equal(images["plain"], images["same"])
    assert not np.array_equal(images["plain"], images["edited"])
    opened: Any = Image.open(tmp_path / "edited" / name)
    origin = json.loads(opened.text["impasto"])["origins"][0]
    assert origin["edits"] == {"warmth": 2.0, "cubism-to-rococo": 0.5}
    again = ["sample", model, "--like", tmp_path / "edited" / name, "--device", "cpu"]
    code, text = invoke(*again, "--out", tmp_path / "again")
    assert code == 0, text
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "again" / "point-0000.png")), images["edited"]
    )
    undone = ["--edit", "warmth=-2", "--edit", "cubism-to-rococo=-0.5"]
    code, text = invoke(*again, *undone, "--out", tmp_path / "undone")
    assert code == 0, text
    back = np.asarray(Image.open(tmp_path / "undone" / "point-0000.png")).astype(int)
    assert np.abs(back - images["plain"]).max() <= 1


def test_the_command(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "d.safetensors"
    options = ["--samples", 64, "--components", 1, "--difference", "style=ukiyo-e,Cubism"]
    code, text = invoke("directions", model, *options, "--out", target, "--strip-seeds", "1,2")
    assert code == 0, text
    assert "ukiyo-e-to-cubism" in text
    assert "held out" in text
    picture = Image.open(tmp_path / "d.png")
    assert picture.height == 8 * 2 * 32  # a difference, five attributes, pc1, sefa1; two seeds
    assert picture.width > 7 * 32
    edit = ["sample", model, "--edit", "ukiyo-e-to-cubism=1", "--directions", target]
    code, text = invoke(*edit, "--grid", tmp_path / "g.png", "--seeds", "0")
    assert code == 0, text


def test_directions_that_change_pictures_alike_are_named() -> None:
    """Red follows the first value of the latent, blue the second, and nothing the others."""
    painter = known()
    latents = torch.tensor([[1.0, 0, 0, 0], [0.6, 0, 0.8, 0], [0, 1, 0, 0], [1, -1, 0, 0]])
    names = ("red", "redder", "blue", "warm")
    directions = Directions(
        tuple(About(name=name, how="by hand") for name in names),
        latents,
        torch.zeros(4, 3),
        painter.record.weights_sha256,
        "x",
    )
    half = 0.5**0.5
    expected = torch.tensor([[1, 1, 0, half], [1, 1, 0, half], [0, 0, 1, half], [half] * 3 + [1]])
    # Pictures have 256 values a colour, and dark ones are cut off at black.
    assert torch.allclose(similarities(painter, directions), expected, atol=0.05)
    about = _compared(painter, directions, silent).about
    assert [each.nearest for each in about[:2]] == ["redder", "red"]
    assert [each.nearest for each in about[2:3]] == ["warm"]
    lines = replace(directions, about=about).lines()
    assert re.fullmatch(r"red +by hand; nearly the same as redder: (1\.00|0\.9\d)", lines[0])
    assert re.fullmatch(r"blue +by hand; like warm: 0\.[67]\d", lines[2])
    alone = About(name="a", how="b", nearest="c", similarity=0.49)
    assert replace(directions, about=(alone,)).lines() == ["a  b"]


def test_seeds_beyond_their_classes_are_named(
    model: Path, found: Directions, tmp_path: Path
) -> None:
    base = ["sample", model, "--grid", tmp_path / "g.png", "--captions", "--seeds", "4,9"]
    for classes, amount, named in (
        ("Cubism", 0.5, None),
        ("Rococo", 0.5, "below 0 or above 1: 4, 9. The"),
        ("Rococo", -1, None),
        ("Cubism", 1.5, "below 0 or above 1: 4, 9. The"),
    ):
        edit = ["--class", f"style={classes}", "--edit", f"cubism-to-rococo={amount}"]
        code, text = invoke(*base, *edit)
        assert code == 0, text
        assert named in text if named else "below 0" not in text
    record = Model.load(model).record
    kept = Points.make(record, torch.zeros(14, 16), torch.tensor([[-0.5, 1.5, 0.0]]).repeat(14, 1))
    names = [f"n{number}" for number in range(14)]
    # Latents alone were moved: that the classes are beyond is nothing new.
    assert note_beyond(kept, found.edited(kept, {"warmth": 1}), names) is None
    note = note_beyond(kept, found.edited(kept, {"cubism-to-rococo": 1}), names)
    assert note is not None
    assert "n10, n11 and 2 more. The" in note


def test_what_is_wrong_is_one_line(model: Path, found: Directions, tmp_path: Path) -> None:
    other = random_model(tmp_path / "other", "self-modulated", seed=5)
    theirs = ["--directions", model / "directions.safetensors"]
    for arguments, message in (
        (["sample", other, "--edit", "warmth=1"], "there is no file of directions"),
        (["sample", other, "--edit", "warmth=1", *theirs], "directions of another generator"),
        (["sample", model, "--edit", "warmt=1"], "did you mean warmth"),
        (["sample", model, "--edit", "warmth"], "--edit takes NAME=AMOUNT"),
        (["sample", model, "--edit", "warmth=nan"], "--edit takes NAME=AMOUNT"),
        (["sample", model, "--edit", "pc1=1", "--edit", "pc1=2"], "names pc1 twice"),
        (["sample", model, "--edit", "pc1=1", "--curate", "best"], "leave out --curate"),
        (["sample", model, "--edit", "pc1=1", "--every-class", "style"], "leave out --every-class"),
        (["sample", model, *theirs], "add --edit"),
        (["directions", model, "--difference", "style=Cubism"], "--difference takes FIELD"),
        (["directions", model, "--difference", "style=Cubism,Cubism"], "names one class twice"),
        (["directions", model, "--difference", "style=Cubism,Dada"], "unknown class of style"),
        (["directions", model, "--components", "99"], "--components is from 0 to"),
        (["directions", model, "--components", "-1"], "--components is from 0 to"),
        (["directions", model, "--samples", "63"], "--samples is from 64"),
        (["sample", model, "--edit", "warmth=1e30"], "amounts are from -100 to 100"),
        (["sample", model, "--edit", "warmth=-101"], "amounts are from -100 to 100"),
        (["directions", model, "--out", "d.json"], "kept in a .safetensors file"),
        (["directions", model, "--column", "year"], "is no run"),
    ):
        code, text = invoke(
            *arguments, *(["--out", tmp_path / "o"] if "sample" in arguments else [])
        )
        assert code == 2, text
        assert message in text
    assert not (tmp_path / "o").exists()
    record = Model.load(model).record
    with pytest.raises(ImpastoError, match="is no file of directions"):
        Directions.load(model / "generator.safetensors", record)
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(ImpastoError, match="cut short or damaged"):
        Directions.load(tmp_path / "x.safetensors", record)
    short = Directions(found.about[:1], found.latents, found.classes, found.model, found.recipe)
    with pytest.raises(ImpastoError, match="do not fit together"):
        Directions.load(short.save(tmp_path / "short.safetensors"), record)
    assert parse_edits(["a=b=+1.5"]) == {"a=b": 1.5}
    # Files of points and of directions hold tensors of the same names.
    with pytest.raises(ImpastoError, match="is no file of points"):
        Points.load(found.save(tmp_path / "directions.safetensors"), record)
    latents, classes = found.latents[:1], torch.zeros(1, sum(record.label_sizes))
    points = Points(latents, classes, (Origin(),), found.model, found.recipe)
    with pytest.raises(ImpastoError, match="is no file of directions"):
        Directions.load(points.save(tmp_path / "points.safetensors"), record)


def test_a_weak_correlation_is_told() -> None:
    about = tuple(
        About(name=name, how="measured", correlation=correlation)
        for name, correlation in (("a", None), ("b", 0.31), ("c", 0.29), ("d", -0.2))
    )
    none = torch.zeros(4, 1)
    assert Directions(about, none, none, "", "").lines() == [
        "a  measured",
        "b  measured; correlation 0.31 held out",
        "c  measured; correlation 0.29 held out: weak, so it may change other things instead",
        "d  measured; correlation -0.20 held out: weak, so it may change other things instead",
    ]


def test_values_of_columns() -> None:
    table = [
        {"year": "1880", "artist": "A"},
        {"year": "", "artist": "B"},
        {"year": "x", "artist": ""},
    ]
    assert np.array_equal(values_of(table, "year"), [1880, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(values_of(table, "artist=B"), [0, 1, np.nan], equal_nan=True)
    for asked, message in (
        ("yeer", "did you mean year"),
        ("artist=C", "no picture has artist 'C'"),
        ("artist", "has no numbers"),
    ):
        with pytest.raises(ImpastoError, match=message):
            values_of(table, asked)


def mean_colours(pixels: Tensor) -> tuple[Tensor, None]:
    return pixels.float().mean((1, 2)), None


def test_a_column_is_learned_from_features(tmp_path: Path) -> None:
    """Warm pictures are late, cold ones early."""
    paint(tmp_path / "pictures", 60)
    lines = ["file,year,title"]
    for n in range(60):
        kind = "warm" if n % 2 else "cold"
        lines.append(f"{kind}/{n:03d}.png,{1800 + 100 * (n % 2)},{'A study' if n < 9 else ''}")
    (tmp_path / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(resolution=32, fit="crop", name="years")
    pack(tmp_path / "pictures", tmp_path / "collection", options)
    collection = Collection.open(tmp_path / "collection")
    device = torch.device("cpu")
    network = FeatureNetwork("colours", 3, None, "none", "b" * 64, False, device, mean_colours)
    column = learn_column(collection, network, "year", resolution=32)
    assert column.fit.correlation[0] > 0.95
    warm, cold = np.full((2, 32, 32, 3), 60, np.uint8)
    warm[..., 0], cold[..., 2] = 180, 180
    years = column(network(torch.from_numpy(np.stack([warm, cold]))).features)
    assert years.tolist() == pytest.approx([1900, 1800], abs=25)
    found = find(
        known(), Wanted(samples=128, components=0, readings=(Readings(network, [column]),))
    )
    late = found.latents[found.names.index("year")]
    assert float(late @ torch.tensor([1.0, -1, 0, 0])) > 1.2
    assert "correlation" in found.about[found.names.index("year")].how
    with pytest.raises(ImpastoError, match="too little to learn"):
        learn_column(collection, network, "title=A study", resolution=32)


def test_those_of_the_shipped_model_are_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    path = usual_path(find_model("masters"))
    assert path == tmp_path / "directions" / "masters" / "directions.safetensors"
    assert usual_path(tmp_path) == tmp_path / "directions.safetensors"
