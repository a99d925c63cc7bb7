"""Points: latents and class weights in files and in PNGs, and mixtures of classes."""

import json
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.collection import Collection
from impasto.config import LatentConfig
from impasto.errors import ImpastoError
from impasto.networks import build_generator, of_fields, one_hot, unknown_like
from impasto.registry import load_module, module_names
from impasto.sampling.class_choice import mixed, parse_mixtures
from impasto.sampling.model import ModelRecord, find_model
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import Origin, png_text
from impasto.sampling.points import Points, class_texts, class_weights, joined, load_all_points
from impasto.sampling.records import LabelRecord
from impasto.training import train
from tests.helpers.command_line import done, invoke
from tests.helpers.records import record_of
from tests.helpers.training import small

WITHOUT_CLASSES = ("dcgan", "lean")
GENERATORS = [
    name
    for name in module_names("networks")
    if hasattr(load_module("networks", name, "network"), "Generator")
    and name not in WITHOUT_CLASSES
]


@pytest.fixture(scope="module")
def run(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"training__images": 16, "labels": ["style", "genre"]}
    config = small("flagship_32", **settings)
    return train(config, labelled, out=tmp_path_factory.mktemp("points"), device="cpu")


@pytest.fixture(scope="module")
def painter(run: Path) -> Painter:
    return Painter.load(find_model(run), batch=3)


def generator_of(family: str, sizes: tuple[int, ...]) -> tuple[torch.nn.Module, int]:
    torch.manual_seed(0)
    options: dict[str, Any] = {"steps": 2} if family == "flow" else {}
    if family == "stacked":
        options = {"base": {"network": "artgan"}, "base_resolution": 16, "base_fields": [1]}
    needed = getattr(load_module("networks", family, "network"), "latent_dim", None)
    dim = 16 if needed is None else needed(32)
    generator = build_generator(
        family, options, latent_dim=dim, resolution=32, label_sizes=sizes
    ).eval()
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():  # layers that begin at zero
            parameter.data.normal_(0, 0.05)
    return generator, dim


@pytest.mark.parametrize("family", GENERATORS)
@torch.no_grad()
def test_class_weights_are_labels_and_what_lies_between(family: str) -> None:
    sizes = (3, 2)
    generator, dim = generator_of(family, sizes)
    latents = torch.randn(2, dim)
    labels = torch.tensor([[2, 1], [0, -1]])
    images = generator(latents, labels)
    weights = one_hot(labels, sizes)
    assert torch.equal(generator(latents, weights), images)
    unknown = generator(latents, unknown_like(labels))
    assert torch.equal(generator(latents, unknown_like(weights)), unknown)
    assert not torch.equal(unknown, images)
    half = generator(latents, (weights + one_hot(labels.flip(0), sizes)) / 2)
    assert half.isfinite().all()
    assert not torch.equal(half, images)


def test_fields_of_labels_and_of_weights() -> None:
    sizes, labels = (3, 2, 2), torch.tensor([[2, 1, 0], [0, -1, 1]])
    assert of_fields(labels, sizes, (2, 0)).tolist() == [[0, 2], [1, 0]]
    chosen = of_fields(one_hot(labels, sizes), sizes, (2, 0))
    assert torch.equal(chosen, one_hot(labels[:, [2, 0]], (2, 3)))
    assert of_fields(labels, sizes, ()).shape == (2, 0)


def test_a_file_of_points_paints_the_same_pictures(painter: Painter, tmp_path: Path) -> None:
    seeds = [7, 3, 3, 11]
    labels = painter.labels(seeds, {0: 1})
    images = np.concatenate(list(painter.paint(seeds, labels)))
    points = painter.points(seeds, labels)
    again = Points.load(points.save(tmp_path / "kept.safetensors"), painter.record)
    assert np.array_equal(np.concatenate(list(painter.paint_points(again))), images)
    assert [origin.seed for origin in again.origins] == seeds
    assert again.fields == points.fields
    both = joined([again[:1], again[[2]]])
    assert [origin.seed for origin in both.origins] == [7, 3]


def test_a_picture_carries_its_point(run: Path, painter: Painter, tmp_path: Path) -> None:
    done("sample", run, "--seeds", "5,8", "--truncation", 0.8, "--out", tmp_path / "a")
    first = tmp_path / "a" / "seed-00000005.png"
    text = json.loads(Image.open(first).text["impasto"])  # type: ignore[attr-defined]
    assert text["origins"] == [{"seed": 5, "truncation": 0.8, "edits": {}}]
    assert "latents" not in text
    done("sample", run, "--like", first, "--out", tmp_path / "b")
    painted = tmp_path / "b" / "point-0000.png"
    assert np.array_equal(np.asarray(Image.open(painted)), np.asarray(Image.open(first)))


def test_a_point_without_a_seed_is_in_its_picture(
    run: Path, painter: Painter, tmp_path: Path
) -> None:
    latents = torch.linspace(-1, 1, painter.record.latent.size)[None]
    weights = class_weights(painter.record, {0: {0: 0.25, 1: 0.75}})[None]
    point = Points.make(painter.record, latents, weights, [Origin(edits={"warmth": 2.0})])
    assert class_texts(point, 0)["style"].startswith("0.75 ")
    point.save(tmp_path / "one.safetensors")
    done("sample", run, "--points", tmp_path / "one.safetensors", "--out", tmp_path / "a")
    picture = tmp_path / "a" / "point-0000.png"
    read = Points.load(picture, painter.record)
    assert torch.equal(read.latents, latents)
    assert torch.allclose(read.classes, weights, atol=1e-6)
    assert read.origins == point.origins
    (image,) = painter.paint_points(read)
    assert np.array_equal(np.asarray(Image.open(picture)), image[0])


@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
    levels=st.sampled_from([None, 1, 3]),
    edit=st.floats(-5, 5),
    share=st.floats(0, 1, width=32),
)
def test_the_text_of_a_picture_keeps_every_bit(
    values: list[float], levels: int | None, edit: float, share: float
) -> None:
    style = LabelRecord(name="style", classes=("Cubism", "Rococo"))
    record = ModelRecord.model_construct(  # type: ignore[call-arg]
        weights_sha256="a" * 64,
        recipe="plain",
        labels=(style,),
        latent=LatentConfig(dim=len(values)),
    )
    latents = torch.tensor(values, dtype=torch.float32)[None]
    if levels is not None:
        latents = latents[:, None].repeat(1, levels, 1)
    point = Points.make(
        record, latents, torch.tensor([[share, 1 - share]]), [Origin(edits={"x": edit})]
    )
    assert json.loads(point.text(0))["model"] == "a" * 64
    image = Image.new("RGB", (2, 2))
    file = BytesIO()
    image.save(file, "PNG", pnginfo=png_text(point.text(0)))
    with tempfile.NamedTemporaryFile(suffix=".png") as kept:
        Path(kept.name).write_bytes(file.getvalue())
        again = Points.load(kept.name, record)
    assert torch.equal(again.latents, point.latents)
    assert torch.equal(again.classes, point.classes)
    assert again.origins == point.origins


STYLES = ("Ukiyo-e", "Post-Impressionism", "1880s", "New York, N+Y", "0.5*x")


@given(
    st.dictionaries(st.sampled_from(STYLES), st.floats(0, 100), min_size=1),
    st.sampled_from(["", " "]),
)
def test_a_mixture_is_read_as_it_is_written(drawn: dict[str, float], space: str) -> None:
    """Weights that sum to 1 but for rounding are taken as they are. Others are refused, and the message
    has a text with the same proportions that is taken."""
    names = STYLES
    record = record_of({"other": ("x",), "style": names}, [(0, 0)], [1])

    def text_of(parts: dict[str, float]) -> str:
        terms = [f"{weight}{space}*{space}{name}" for name, weight in parts.items()]
        return f"style={f'{space}+{space}'.join(terms)}"

    total = sum(drawn.values())
    if abs(total - 1) > 1.001e-3:
        with pytest.raises(ImpastoError, match=r"sum to .*must sum to 1") as refused:
            parse_mixtures(record, [text_of(drawn)])
        if total < 1e-6:
            return
        _, proposed = parse_mixtures(record, [str(refused.value).split("such as ")[1]])
        shares = {names.index(name): weight / total for name, weight in drawn.items()}
        assert proposed == {1: pytest.approx(shares, rel=1e-3)}
    total = total or 1.0
    parts = {name: round(weight / total, 6) for name, weight in drawn.items()}
    if not any(parts.values()):
        return
    chosen, mixtures = parse_mixtures(record, [text_of(parts)])
    expected = {names.index(name): weight for name, weight in parts.items()}
    assert (chosen, mixtures) == ({}, {1: expected})
    weights = mixed(record, torch.tensor([[0, 4]]), mixtures)
    assert weights[0, 1:].tolist() == pytest.approx([expected.get(n, 0) for n in range(5)])


def test_several_files_and_patterns(run: Path, painter: Painter, tmp_path: Path) -> None:
    """Files in the order in which they are given, those of a pattern in the order of their names."""
    for seeds in ("5,3", "8-10"):
        done("sample", run, "--seeds", seeds, "--out", tmp_path / f"of {seeds[0]}[a]")
    single = painter.points([7], painter.labels([7], {})).save(tmp_path / "7.safetensors")
    asked = ["--points", single, "--points", tmp_path / "of ?*" / "*.png"]
    done(
        "sample",
        run,
        *asked,
        "--save-points",
        tmp_path / "all.safetensors",
        "--out",
        tmp_path / "o",
    )
    found = Points.load(tmp_path / "all.safetensors", painter.record)
    assert [origin.seed for origin in found.origins] == [7, 3, 5, 8, 9, 10]
    assert len(list((tmp_path / "o").glob("point-*.png"))) == 6
    for pattern in ("**/seed-*03.png", "of**/seed-*03.png"):
        assert load_all_points([tmp_path / pattern], painter.record, "it").origins[0].seed == 3
    # A file with such a name is no pattern.
    exact = tmp_path / "of 5[a]" / "seed-00000003.png"
    assert load_all_points([exact], painter.record, "it").origins[0].seed == 3
    with pytest.raises(
        ImpastoError, match=r"no file of points has a name of the pattern '.*x\*\.png'"
    ):
        load_all_points([tmp_path / "x*.png"], painter.record, "it")
    with pytest.raises(ImpastoError, match="there is no file of points"):
        load_all_points([tmp_path / "x.safetensors"], painter.record, "it")


def test_points_of_another_model_are_refused(painter: Painter, tmp_path: Path) -> None:
    path = painter.points([1], painter.labels([1], {})).save(tmp_path / "p.safetensors")
    other = painter.record.model_copy(update={"weights_sha256": "f" * 64})
    with pytest.raises(ImpastoError, match="points of another generator"):
        Points.load(path, other)


def test_what_is_no_point_is_one_line(painter: Painter, run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.jpg")
    for name, message in (
        ("plain.png", "carries no point"),
        ("text.png", "cannot be read as a PNG"),
        ("missing.png", "there is no"),
        ("missing.safetensors", "there is no file of points"),
        ("photo.jpg", "photo.jpg has no points: they are in .safetensors files, and in PNGs"),
    ):
        with pytest.raises(ImpastoError, match=message):
            Points.load(tmp_path / name, painter.record)
    with pytest.raises(ImpastoError, match="is no file of points"):
        Points.load(find_model(run) / "generator.safetensors", painter.record)
    info_of = Points.make(
        painter.record,
        torch.zeros(1, painter.record.latent.size),
        torch.zeros(1, 2, dtype=torch.int64),
    )
    text = json.loads(info_of.text(0))
    changes: tuple[dict[str, Any], ...] = (
        {"latents": "!!!"},
        {"classes": [1.0]},
        {"origins": []},
        {"model": 3},
        {"levels": 7},
    )
    for change in changes:
        Image.new("RGB", (4, 4)).save(
            tmp_path / "bad.png", pnginfo=png_text(json.dumps({**text, **change}))
        )
        with pytest.raises(ImpastoError, match="damaged point"):
            Points.load(tmp_path / "bad.png", painter.record)
    with pytest.raises(ImpastoError, match=r"kept in a \.safetensors file"):
        info_of.save(tmp_path / "points.json")


def test_mixtures_of_classes(painter: Painter) -> None:
    record = painter.record
    first, second = record.labels[0].classes[:2]
    other = record.labels[1].classes[1]
    chosen, mixtures = parse_mixtures(
        record, [f"style=0.6*{first} + .4 * {second}", f"genre={other}"]
    )
    assert (chosen, mixtures) == ({1: 1}, {0: {0: 0.6, 1: 0.4}})
    weights = mixed(record, torch.tensor([[2, 1]]), mixtures)
    sizes = record.label_sizes
    style, genre = weights.split(sizes, dim=1)
    assert style[0, :2].tolist() == pytest.approx([0.6, 0.4])
    assert style[0, 2:].sum() == 0
    assert genre[0].argmax() == 1
    labels = torch.tensor([[2, 1]])
    assert mixed(record, labels, {}) is labels
    for texts, message in (
        ([f"style=0.5*{first}+0.5*{first}"], "twice in"),
        ([f"style=1*{first}", f"style={second}"], "names style twice"),
        (["style=1*nothing"], "unknown class of style"),
        ([f"style=0.7*{first}+0.5*{second}"], "sum to 1.2; they must sum to 1, such as style=0.58"),
        ([f"style=0.5*{first}"], f"sum to 0.5; they must sum to 1, such as style=1.{first}"),
        ([f"style=1e999*{first}"], "sum to inf; they must sum to 1$"),
        ([f"style=0*{first}+-1*{second}"], "sum to -1; they must sum to 1$"),
    ):
        with pytest.raises(ImpastoError, match=message):
            parse_mixtures(record, texts)


def test_options_that_do_not_go_together(run: Path, tmp_path: Path) -> None:
    done("sample", run, "--seeds", "1", "--out", tmp_path / "a")
    picture = tmp_path / "a" / "seed-00000001.png"
    for more, message in (
        (["--like", picture, "--seeds", "1"], "leave out --seeds"),
        (["--save-points", tmp_path / "p.safetensors", "--curate", "best"], "leave out --curate"),
        (["--curate", "best", "--class", "style=0.5*x"], "unknown class of style"),
    ):
        code, text = invoke("sample", run, *more)
        assert code == 2
        assert message in text
