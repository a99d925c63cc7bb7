"""Enlarging by networks that spandrel makes, with random weights."""

from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DnCNN import DnCNN
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor, nn

import impasto
from impasto.enlarging.tiles import enlarged
from impasto.enlarging.weights import load_enlarger
from impasto.errors import ImpastoError


@pytest.fixture
def pictures() -> Tensor:
    """Blots [1, 60, 90, 3]."""
    random = np.random.default_rng(0)
    small = torch.from_numpy(random.random((1, 3, 10, 15), np.float32))
    large = nn.functional.interpolate(small, scale_factor=6, mode="bilinear")
    return (255 * large).byte().permute(0, 2, 3, 1).contiguous()


def _written(path: Path, network: nn.Module) -> Path:
    if path.suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save({"params_ema": network.state_dict()}, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_the_pixels_are_those_of_spandrel(name: str, pictures: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Compact(num_feat=8, num_conv=3, upscale=4)
    weights = _written(tmp_path / name, network)
    tiles = enlarged(pictures, load_enlarger(weights=weights), 4, tile=20)
    found = spandrel.ModelLoader().load_from_file(weights)
    plain = found(pictures.permute(0, 3, 1, 2).float() / 255)
    expected = (255 * plain).round().byte().permute(0, 2, 3, 1)
    inner = slice(20, -20)  # at the border our input goes on, mirrored
    difference = (tiles.int() - expected.int()).abs()[:, inner, inner]
    assert int(difference.max()) <= 1
    two = impasto.enlarge(pictures[0].numpy(), 2, weights=weights)
    assert two.shape == (120, 180, 3)


def test_attention_in_windows_has_no_seams(pictures: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SwinIR(
        upscale=4,
        img_size=64,
        window_size=8,
        depths=[2, 2],
        embed_dim=30,
        num_heads=[3, 3],
        upsampler="pixelshuffledirect",
    )
    known = load_enlarger(weights=_written(tmp_path / "w.pth", network))
    whole, tiles = (enlarged(pictures, known, 4, tile=tile) for tile in (1000, 33))
    assert int((whole.int() - tiles.int()).abs().max()) <= 1


def test_a_network_that_does_not_enlarge_is_refused(tmp_path: Path) -> None:
    weights = _written(tmp_path / "w.pth", DnCNN(in_nc=3, out_nc=3, nc=8, nb=4, mode="R"))
    with pytest.raises(ImpastoError, match="does not enlarge pictures"):
        load_enlarger(weights=weights)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ImpastoError, match=r"other\.pth is of no network that spandrel"):
        load_enlarger(weights=tmp_path / "other.pth")
