"""What is done with a model of rectangles: a walk, an inversion; a canvas is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.resolution import Size
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 24x32 pixels with three styles."""
    folder = tmp_path_factory.mktemp("tall")
    return random_model(folder / "model", "self-modulated", steady=True, resolution=Size(24, 32))


def test_a_walk(tall: Path, tmp_path: Path) -> None:
    code, text = invoke(
        *("walk", tall, "--seeds", "3,4", "--seconds", "0.5", "--fps", "4"),
        *("--out", tmp_path / "frames"),
    )
    assert code == 0, text
    frames = [Image.open(path) for path in sorted((tmp_path / "frames").glob("*.png"))]
    assert len(frames) > 1
    assert {frame.size for frame in frames} == {(24, 32)}
    assert np.asarray(frames[0]).std() > 10


def test_an_inversion(tall: Path, tmp_path: Path) -> None:
    """A picture of the model, twice as wide as the model's: its centre is searched."""
    assert invoke("sample", tall, "--seeds", "5", "--out", tmp_path / "made")[0] == 0
    (made,) = (np.asarray(Image.open(path)) for path in (tmp_path / "made").glob("*.png"))
    wide = np.pad(made, ((0, 0), (12, 12), (0, 0)))
    Image.fromarray(wide).save(tmp_path / "wide.png")
    code, text = invoke(
        *("invert", tall, tmp_path / "wide.png", "--steps", "2", "--starts", "1"),
        *("--candidates", "4", "--device", "cpu", "--out", tmp_path / "found.safetensors"),
    )
    assert code == 0, text
    sheet = np.asarray(Image.open(tmp_path / "found.png"))
    places = np.lib.stride_tricks.sliding_window_view(sheet, made.shape)
    assert (places == made).all((3, 4, 5)).any(), "the target stands in the sheet as it is"


def test_a_canvas_is_refused_in_one_line(tall: Path, tmp_path: Path) -> None:
    out = tmp_path / "canvas.png"
    code, text = invoke("canvas", tall, "--size", "96x96", "--out", out)
    assert code == 2
    assert "a canvas is made by models of square pictures, and this one's are 24 x 32" in text
    assert not out.exists()
