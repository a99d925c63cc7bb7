"""Canvases: layout, windows, tiles, classes from left to right, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import impasto
from impasto.errors import ImpastoError
from impasto.exploring import canvases
from impasto.exploring.canvases import CanvasOptions, canvas_of, parse_size, windows_along
from impasto.sampling import Sampler
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import invoke

CONVOLUTIONAL = [kind for kind in KINDS if kind != "flow"]
"""They are painted in windows, which give the pixels of the whole."""


@pytest.fixture(scope="module")
def painters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Painter]:
    folder = tmp_path_factory.mktemp("canvas")
    return {kind: Painter.load(random_model(folder / kind, kind, steady=True)) for kind in KINDS}


@pytest.fixture(scope="module")
def masters() -> Painter:
    return Painter.load(impasto.find_model("masters"))


def painted(painter: Painter, width: int, height: int, **options: Any) -> np.ndarray:
    return canvas_of(painter, CanvasOptions(width, height, **options)).paint()


def apart(some: np.ndarray, other: np.ndarray) -> int:
    """The largest difference, in levels; 1 is rounding."""
    assert some.shape == other.shape
    return int(np.abs(some.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_at_the_models_own_size_is_its_picture(
    kind: str, painters: dict[str, Painter]
) -> None:
    painter = painters[kind]
    points = painter.points([7], painter.labels([7], {}))
    (own,) = next(painter.paint_points(points))
    assert apart(painted(painter, 32, 32, seeds=[7], variety=0.0), own) <= 1
    # With variety, a picture of another latent.
    assert apart(painted(painter, 32, 32, seeds=[7], variety=0.5), own) > 1


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("kind", CONVOLUTIONAL)
def test_windows_give_the_same_pixels_as_the_whole(
    kind: str, tile: bool, painters: dict[str, Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    margin: Any = painters[kind].sampler.generator.canvas_margin
    across, down = 2 * margin + 4, 2 * margin + 3  # pictures
    options = CanvasOptions(32 * across, 32 * down, tile=tile, seeds=range(6), layout=(3, 2))
    canvas = canvas_of(painters[kind], options)
    monkeypatch.setattr(canvases, "_WINDOW", 4096)
    assert len(canvas.windows) == 1
    whole = canvas.paint()
    monkeypatch.setattr(canvases, "_WINDOW", 1)
    assert len(canvas.windows) == -(-across // 2) * -(-down // 2)
    assert apart(canvas.paint(), whole) <= 1


@given(
    pictures=st.integers(1, 40),
    margin=st.integers(1, 3),
    core=st.integers(1, 9),
    tile=st.booleans(),
)
def test_windows_keep_every_picture_once(pictures: int, margin: int, core: int, tile: bool) -> None:
    windows = windows_along(pictures, margin, core, tile=tile)
    assert [number for window in windows for number in window.kept] == list(range(pictures))
    for window in windows:
        kept, around = window.kept, window.painted
        assert len(around) <= core + 2 * margin
        if tile:
            assert (around.start, around.stop) == (kept.start - margin, kept.stop + margin)
        else:
            assert around.start <= max(0, kept.start - margin)
            assert around.stop >= min(pictures, kept.stop + margin)
            assert 0 <= around.start < around.stop <= pictures


def test_memory_does_not_grow_with_the_canvas(
    painters: dict[str, Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest field that the network gets is as large for a canvas of ten times the area."""
    painter = painters["self-modulated"]
    generator, largest = painter.sampler.generator, []
    made = generator.canvas

    def recorded(latents: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        largest.append(latents.numel())
        return made(latents, weights)  # type: ignore[operator]

    monkeypatch.setattr(generator, "canvas", recorded, raising=False)
    monkeypatch.setattr(canvases, "_WINDOW", 128)
    for width, height in ((192, 192), (640, 576)):
        painted(painter, width, height, seeds=[1, 2])
    assert max(largest[9:]) == max(largest[:9])
    assert len(largest) == 9 + 90


@settings(max_examples=10)
@given(
    layout=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    shift=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_a_tile_goes_round(
    layout: tuple[int, int], shift: tuple[int, int], painters: dict[str, Painter]
) -> None:
    """Seeds that are moved on in their rows and columns, those at the end to the beginning, give the
    picture moved on in the same way: no edge is special."""
    painter = painters["self-modulated"]
    columns, rows = layout
    seeds = np.arange(rows * columns).reshape(rows, columns)
    down, across = shift[0] % rows, shift[1] % columns
    size = (32 * columns, 32 * rows)
    one, other = (
        painted(painter, *size, seeds=each.ravel().tolist(), layout=layout, variety=0.0, tile=True)
        for each in (seeds, np.roll(seeds, (down, across), (0, 1)))
    )
    assert apart(np.roll(one, (32 * down, 32 * across), (0, 1)), other) <= 1


def test_opposite_edges_of_a_tile_meet(masters: Painter) -> None:
    """Across the edges pixels differ as neighbours inside do; without `tile` they differ by far more."""

    def across_and_inside(picture: np.ndarray) -> tuple[float, float]:
        values = picture.astype(float)
        steps = [np.abs(np.roll(values, 1, axis) - values) for axis in (0, 1)]
        edges = np.concatenate([steps[0][0].ravel(), steps[1][:, 0].ravel()])
        inside = np.concatenate([steps[0][1:].ravel(), steps[1][:, 1:].ravel()])
        return float(edges.mean()), float(inside.mean())

    edge, inside = across_and_inside(painted(masters, 256, 192, tile=True))
    assert edge < 1.25 * inside
    edge, inside = across_and_inside(painted(masters, 256, 192))
    assert edge > 2 * inside


def test_any_size_is_cut_from_whole_pictures(painters: dict[str, Painter]) -> None:
    whole = painted(painters["fastgan"], 128, 96)
    for width, height in ((97, 65), (128, 70), (101, 96)):
        assert apart(painted(painters["fastgan"], width, height), whole[:height, :width]) == 0


def test_seeds_lie_at_the_middle_of_their_cells(painters: dict[str, Painter]) -> None:
    """Three seeds over three pictures: in the middle of each, latents and classes are its seed's."""
    painter = painters["self-modulated"]
    seeds = [5, 6, 7]
    points = painter.points(seeds, painter.labels(seeds, {}))
    for tile in (False, True):
        laid = canvas_of(painter, CanvasOptions(96, 32, seeds=seeds, tile=tile, variety=0.0)).field
        middles = torch.tensor([0.5, 1.5, 2.5])
        latents = laid._latents(middles, torch.tensor([0.5]))
        assert latents.shape == (1, 3, painter.levels, 16)
        torch.testing.assert_close(latents[0, :, 1], points.latents)
        torch.testing.assert_close(laid._classes(middles, torch.tensor([0.5]))[0], points.classes)


@settings(max_examples=25)
@given(
    x=st.floats(-2, 6, allow_nan=False),
    y=st.floats(-2, 6, allow_nan=False),
    variety=st.floats(0, 1),
    tile=st.booleans(),
)
def test_latents_keep_their_norm(
    x: float, y: float, variety: float, tile: bool, painters: dict[str, Painter]
) -> None:
    painter = painters["fastgan"]
    options = CanvasOptions(128, 128, tile=tile, variety=variety)
    laid = canvas_of(painter, options).field
    norms = laid.points.latents.norm(dim=1)
    own = painter.latents(
        [laid._own_seed(row, column) for row in range(4) for column in range(4)]
    ).norm(dim=1)
    found = laid._latents(torch.tensor([x]), torch.tensor([y])).norm()
    assert min(norms.min(), own.min()) * 0.999 <= found <= max(norms.max(), own.max()) * 1.001
    if tile:  # and go round
        once = laid._latents(torch.tensor([x]), torch.tensor([y]))
        again = laid._latents(torch.tensor([x + 4]), torch.tensor([y - 4]))
        torch.testing.assert_close(once, again, atol=1e-3, rtol=1e-3)


def test_classes_from_left_to_right(masters: Painter) -> None:
    names = ["Impressionism", "Ukiyo-e"]
    one, other = (painted(masters, 512, 64, seeds=[3], classes={"style": [name]}) for name in names)
    both = painted(masters, 512, 64, seeds=[3], classes={"style": names})
    left, right = slice(0, 32), slice(-32, None)

    def distance(some: np.ndarray, other: np.ndarray, part: slice) -> float:
        return float(np.abs(some[:, part].astype(int) - other[:, part]).mean())

    assert distance(both, one, left) < 0.4 * distance(both, other, left)
    assert distance(both, other, right) < 0.4 * distance(both, one, right)


def test_points_are_laid_out(painters: dict[str, Painter], tmp_path: Path) -> None:
    painter = painters["self-modulated"]
    points = painter.points([1, 2], painter.labels([1, 2], {}))
    points.save(tmp_path / "one.safetensors")
    assert painter.levels is not None
    several = replace(points, latents=points.latents[:, None].expand(-1, painter.levels, -1))
    several.save(tmp_path / "levels.safetensors")
    files = [tmp_path / name for name in ("one.safetensors", "levels.safetensors")]
    made = [painted(painter, 96, 64, points=[file]) for file in files]
    # A seed's own latents come from the seed, which points of seeds name.
    expected = painted(painter, 96, 64, seeds=[1, 2])
    assert apart(made[0], expected) <= 1
    assert apart(made[1], expected) <= 1
    assert apart(painted(painter, 96, 64, points=[points]), expected) <= 1
    upright = painted(painter, 64, 96, points=[files[0]])
    assert apart(upright, painted(painter, 64, 96, seeds=[1, 2], layout=(1, 2))) == 0
    assert Points.load(files[1], painter.record).latents.shape == (2, painter.levels, 16)


def test_the_command(tmp_path: Path) -> None:
    model = random_model(tmp_path / "model", "fastgan")
    target = tmp_path / "canvas.png"
    words = [
        "canvas",
        model,
        "--size",
        "80x50",
        "--seeds",
        "3,4",
        "--variety",
        0.5,
        "--out",
        target,
    ]
    code, text = invoke(*words, "--classes", "Cubism,Ukiyo-e", "--truncation", 0.8)
    assert (code, text.splitlines()[-1]) == (0, f"80 x 50 pixels in {target}")
    from_python = impasto.canvas(
        model,
        80,
        50,
        [3, 4],
        classes={"style": ["Cubism", "Ukiyo-e"]},
        variety=0.5,
        truncation=0.8,
        device="cpu",
    )
    assert apart(np.asarray(Image.open(target)), from_python) <= 1


def test_favourites_are_laid_out(tmp_path: Path) -> None:
    model, target = random_model(tmp_path / "model", "self-modulated"), tmp_path / "canvas.png"
    code, text = invoke("sample", model, "--seeds", "5", "--keep", "pier", "--out", tmp_path / "p")
    assert code == 0, text
    code, text = invoke("canvas", model, "--size", "64x32", "--seeds", "pier", "--out", target)
    assert code == 0, text
    expected = impasto.canvas(model, 64, 32, [5], device="cpu")
    assert apart(np.asarray(Image.open(target)), expected) <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "100"], "--size takes WIDTHxHEIGHT"),
        (["--size", "100x20"], "at least 32 x 32 pixels, not 100 x 20"),
        (["--size", "99999x99999"], "at most 268,435,456 pixels"),
        (["--size", "64x80", "--tile"], "multiples of this model's 32 pixels"),
        (["--seeds", "1,2,3", "--layout", "2x2"], "3 points cannot be laid out in 2 columns"),
        (["--layout", "2"], "--layout takes COLUMNSxROWS"),
        (["--variety", "1.5"], "from 0 to 1, not 1.5"),
        (["--classes", "Baroque"], "unknown class of style"),
        (["--seeds", "1", "--points", "p.safetensors"], "choose one of the two"),
        (["--points", "gone.safetensors"], "there is no file of points"),
        (["--out", "canvas.jpg"], "a canvas is a PNG"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = invoke("canvas", random_model(tmp_path / "model", "fastgan"), *words)
    assert code == 2
    assert message in " ".join(text.split())
    assert not (tmp_path / "samples").exists()


def test_networks_that_make_no_canvases_are_refused(painters: dict[str, Painter]) -> None:
    """Such as those of plugins that have no method for it."""
    painter = painters["flow"]
    sampler = Sampler(nn.Flatten(), painter.sampler.latent, fold=False)
    with pytest.raises(ImpastoError, match="network 'flow' makes pictures of one size only"):
        painted(replace(painter, sampler=sampler), 64, 64)


def test_noise_of_a_flow_is_laid_out(painters: dict[str, Painter]) -> None:
    painter = painters["flow"]
    points = painter.points([3, 4], painter.labels([3, 4], {}))
    for tile in (False, True):
        canvas = canvas_of(painter, CanvasOptions(64, 32, seeds=[3, 4], variety=0.0, tile=tile))
        assert len(canvas.windows) == 1
        latents, weights = canvas.field.at(range(1), range(2))
        assert torch.equal(latents[0, :, 0].T, points.latents)
        assert torch.equal(weights[0, :, 0].T, points.classes)
        assert canvas.paint().shape == (32, 64, 3)
    # The middle of a tile has no edges to see, and its picture is another.
    assert apart(*(painted(painter, 64, 32, seeds=[3], tile=tile) for tile in (False, True))) > 1


def test_sizes_in_words() -> None:
    assert parse_size(" 1024x256 ") == (1024, 256)
    for wrong in ("1024", "0x4", "1024x", "axb", "-4x4", "1024x256x3"):
        with pytest.raises(ImpastoError, match="WIDTHxHEIGHT"):
            parse_size(wrong)
