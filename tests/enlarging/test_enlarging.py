"""Enlarging: tiles give what the whole gives, and files are read upright and never half written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from impasto.enlarging.files import enlarge_files
from impasto.enlarging.network import Enlarger
from impasto.enlarging.tiles import enlarged
from impasto.enlarging.weights import finisher, load_enlarger, read_enlarger
from impasto.errors import ImpastoError
from impasto.sampling.point_text import TEXT_KEY, png_text
from impasto.sampling.tensors import write_tensors
from tests.helpers.command_line import invoke


@pytest.fixture(scope="module")
def network() -> Enlarger:
    """A small network whose added detail is plainly seen."""
    torch.manual_seed(0)
    made = Enlarger(width=8, blocks=2)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return made.eval().requires_grad_(False)


def _random(*size: int) -> Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (*size, 3)).astype(np.uint8))


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 33), st.sampled_from([2, 4]))
def test_tiles_give_what_the_whole_gives(height: int, width: int, tile: int, by: int) -> None:
    torch.manual_seed(0)
    network = Enlarger(width=4, blocks=1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    images = _random(2, height, width)
    whole = enlarged(images, network, by, tile=1000)
    tiles = enlarged(images, network, by, tile=tile)
    assert tiles.shape == (2, by * height, by * width, 3)
    assert int((whole.int() - tiles.int()).abs().max()) <= 1


def test_an_untrained_network_enlarges_bilinearly() -> None:
    images = _random(1, 12, 20)
    found = enlarged(images, Enlarger(width=4, blocks=1))
    plain = F.interpolate(images.permute(0, 3, 1, 2).float(), scale_factor=4, mode="bilinear")
    inner = slice(4, -4)  # at the border our input goes on, mirrored
    difference = found.permute(0, 3, 1, 2).float() - plain
    assert float(difference[:, :, inner, inner].abs().max()) <= 0.51


def test_twice_is_the_mean_of_four_pixels(network: Enlarger) -> None:
    images = _random(1, 9, 7)
    four, two = enlarged(images, network, 4), enlarged(images, network, 2)
    mean = F.avg_pool2d(four.permute(0, 3, 1, 2).float(), 2)
    assert float((two.permute(0, 3, 1, 2).float() - mean).abs().max()) <= 1


def test_the_network_looks_as_far_as_it_says(network: Enlarger) -> None:
    side = 2 * network.reach + 3
    images = torch.zeros(1, 3, side, side, requires_grad=True)
    made = network(images)
    middle = 4 * (side // 2)
    made[0, 0, middle, middle].backward()
    assert images.grad is not None
    rows = images.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert side // 2 - int(rows.min()) <= network.reach
    assert int(rows.max()) - side // 2 <= network.reach


def test_files_become_pngs_of_their_names(network: Enlarger, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    pixels = _random(6, 10).numpy()
    text = png_text("the point")
    Image.fromarray(pixels).save(source / "a.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(pixels).save(source / "deep" / "b.jpg", exif=exif)
    Image.fromarray(pixels).save(source / "a.webp", lossless=True)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    result = enlarge_files([source], tmp_path / "out", network, 4)
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in result.made)
    assert names == ["a.png", "a.webp.png", "deep/b.png"]
    assert [name for name, _ in result.left_out] == ["broken.jpg"]
    with Image.open(tmp_path / "out" / "a.png") as made:
        assert made.size == (40, 24)
        assert made.info[TEXT_KEY] == "the point"
        found = np.asarray(made)
    assert (found == enlarged(torch.tensor(pixels)[None], network)[0].numpy()).all()
    with Image.open(tmp_path / "out" / "deep" / "b.png") as made:
        assert made.size == (24, 40)
    again = enlarge_files([source / "a.png"], tmp_path / "out", network, 2)
    assert (again.made, again.kept) == ([], [tmp_path / "out" / "a.png"])


def test_what_cannot_be_enlarged_is_said(network: Enlarger, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="does not exist"):
        enlarge_files([tmp_path / "none"], tmp_path / "out", network)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImpastoError, match="no pictures"):
        enlarge_files([tmp_path / "empty"], tmp_path / "out", network)
    with pytest.raises(ImpastoError, match="2 or 4 times, not 3"):
        enlarged(_random(1, 4, 4), network, 3)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_picture_does_not_stand_for_its_folder(
    network: Enlarger, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "beside.png")
    (tmp_path / "song.mp3").write_bytes(b"ID3 no picture")
    with pytest.raises(ImpastoError, match=r"song\.mp3 is neither a picture nor an archive"):
        enlarge_files([tmp_path / "song.mp3"], tmp_path / "out", network, 2)
    assert not (tmp_path / "out").exists()


def test_a_file_of_weights_is_a_network_again(network: Enlarger, tmp_path: Path) -> None:
    state = network.state_dict()
    write_tensors(tmp_path / "w", state, {"enlarger": '{"width": 8, "blocks": 2}'})
    images = _random(1, 5, 5)
    again = read_enlarger(tmp_path / "w")
    assert (enlarged(images, again) == enlarged(images, network)).all()
    write_tensors(tmp_path / "other", {"weight": torch.zeros(3)})
    with pytest.raises(ImpastoError, match="no enlarging network"):
        read_enlarger(tmp_path / "other")


def test_the_packaged_network_sharpens_an_edge_and_keeps_its_colours() -> None:
    half = np.zeros((1, 16, 16, 3), np.uint8)
    half[:, :, 8:] = (200, 120, 60)
    small = torch.from_numpy(half)
    made = enlarged(small, load_enlarger()).float()
    back = F.avg_pool2d(made.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1)
    assert float((back - small).abs().mean()) < 8
    bilinear = F.interpolate(small.permute(0, 3, 1, 2).float(), scale_factor=4, mode="bilinear")
    steepest = made[0, 32, :, 0].diff().abs().max()
    assert float(steepest) > 1.2 * float(bilinear[0, 0, 32].diff().abs().max())


def test_the_commands(tmp_path: Path) -> None:
    Image.fromarray(_random(8, 8).numpy()).save(tmp_path / "a.png")
    code, output = invoke("enlarge", tmp_path / "a.png", "--out", tmp_path / "large", "--by", 2)
    assert code == 0, output
    with Image.open(tmp_path / "large" / "a.png") as made:
        assert made.size == (16, 16)
    grid = tmp_path / "grid.png"
    code, output = invoke("sample", "masters", "--seeds", "0-3", "--enlarge", 4, "--grid", grid)
    assert code == 0, output
    with Image.open(grid) as made:
        assert made.size == (512, 512)
    code, output = invoke("sample", "masters", "--seeds", "0", "--enlarge", 3, "--grid", grid)
    assert (code, output) == (2, "pictures are enlarged 2 or 4 times, not 3")


def test_a_picture_is_enlarged_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """So its last bits do not depend on the pictures with which it is painted."""
    batches: list[int] = []

    def noted(images: Tensor, *rest: Any) -> Tensor:
        batches.append(len(images))
        return enlarged(images, *rest)

    monkeypatch.setattr("impasto.enlarging.weights.enlarged", noted)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    finish = finisher(2, torch.device("cpu"))
    together = finish(images)
    assert batches == [1, 1, 1]
    assert np.array_equal(together[1:2], finish(images[1:2]))
