"""Networks for rectangles: their smallest maps, their layers beside those of squares."""

import pytest
import torch
import torch.nn.functional as F

from impasto.errors import ImpastoError
from impasto.networks import (
    build_discriminator,
    build_generator,
    count_parameters,
    makes_rectangles,
)
from impasto.networks._frozen_features import FrozenFeatures, resized
from impasto.networks._start import Start, start_of
from impasto.registry import load_module, module_names
from impasto.resolution import Resolution, Size, area, in_proportion, square_of


def able(role: str) -> list[str]:
    return [
        name
        for name in module_names("networks")
        if hasattr(load_module("networks", name, "network"), role.capitalize())
        and makes_rectangles(name, role)
    ]


def built(family: str, role: str, resolution: Resolution) -> torch.nn.Module:
    if role == "generator":
        return build_generator(family, {}, latent_dim=10, resolution=resolution)
    return build_discriminator(family, {}, resolution=resolution)


def test_which_families_make_rectangles() -> None:
    assert able("generator") == ["dcgan", "fastgan", "flow", "lean", "r3gan"]
    assert able("discriminator") == ["dcgan", "fastgan", "lean", "projected", "r3gan"]


@pytest.mark.parametrize(
    ("resolution", "start"),
    [
        (64, Start(4, 4, 4, 4)),
        (Size(48, 64), Start(4, 3, 4, 4)),
        (Size(192, 256), Start(4, 3, 6, 4)),
        (Size(256, 192), Start(3, 4, 6, 4)),
        (Size(160, 96), Start(3, 5, 5, 4)),
        (Size(128, 256), Start(4, 2, 6, 4)),  # not 2x1: a start of about sixteen positions
        (Size(224, 288), Start(9, 7, 5, 8)),
        (Size(240, 272), Start(17, 15, 4, 16)),
    ],
)
def test_the_smallest_maps(resolution: Resolution, start: Start) -> None:
    found = start_of(resolution, "lean")
    assert found == start
    width = found.width << found.doublings
    height = found.height << found.doublings
    assert (width, height) == (
        (64, 64) if isinstance(resolution, int) else (resolution.width, resolution.height)
    )


@pytest.mark.parametrize("size", [Size(250, 190), Size(16, 128), Size(3, 4)])
def test_sizes_that_cannot_be_doubled_up_to(size: Size) -> None:
    with pytest.raises(ImpastoError, match=f"cannot make pictures of {size} pixels: choose"):
        start_of(size, "lean")


def _labels(count: int, fields: int) -> torch.Tensor:
    return torch.tensor([[0, 1], [-1, 0], [2, -1], [1, 1]])[:count, :fields]


@pytest.mark.parametrize("size", [Size(48, 64), Size(64, 48), Size(56, 72)])
@pytest.mark.parametrize("family", able("generator"))
def test_generators(family: str, size: Size) -> None:
    fields = 0 if family in ("dcgan", "lean") else 2
    options = {"patch": 2, "steps": 2} if family == "flow" else {}
    generator = build_generator(
        family,
        options,
        latent_dim=3 * area(size) if family == "flow" else 10,
        resolution=size,
        label_sizes=(3, 2)[:fields],
    )
    images = generator(
        torch.randn(2, 3 * area(size) if family == "flow" else 10), _labels(2, fields)
    )
    assert images.shape == (2, 3, size.height, size.width)
    assert -1 <= images.min() <= images.max() <= 1


@pytest.mark.parametrize("size", [Size(48, 64), Size(64, 48), Size(56, 72)])
@pytest.mark.parametrize("family", able("discriminator"))
def test_discriminators(family: str, size: Size) -> None:
    fields = 0 if family in ("dcgan", "lean") else 2
    options = {"read_at": 64, "pixel_width": 8} if family == "projected" else {}
    network = build_discriminator(family, options, resolution=size, label_sizes=(3, 2)[:fields])
    images = torch.randn(4, 3, size.height, size.width, requires_grad=True)
    judgement = network(images, _labels(4, fields))
    assert judgement.realness.ndim == 2
    said = [judgement.realness]
    if judgement.reconstruct:
        for made, target in judgement.reconstruct():
            assert made.shape == target.shape
            said.append(made)
    torch.stack([each.sum() for each in said]).sum().backward()
    assert images.grad is not None
    # All of the picture is looked at.
    assert (images.grad.abs().sum((0, 1)) > 0).all()
    for name, parameter in network.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name


@pytest.mark.parametrize("family", ["fastgan", "r3gan"])
def test_layers_have_the_names_and_shapes_of_the_square_of_as_many_pixels(family: str) -> None:
    for role in ("generator", "discriminator"):
        square, tall, large = (
            {name: value.shape for name, value in built(family, role, size).state_dict().items()}
            for size in (64, Size(48, 64), Size(96, 128))
        )
        assert square.keys() == tall.keys()
        others = {name for name in square if square[name] != tall[name]}
        # Only the first maps, or what reads the last ones, depend on their number of positions.
        assert len(others) <= 2, others
        same = {name for name in tall if large.get(name) == tall[name]}
        assert len(same) > len(tall) / 2


def test_dcgans_parameters_by_hand() -> None:
    # As of the square (test_networks.py), but with a first kernel of 4x3.
    square = build_generator("dcgan", {}, latent_dim=100, resolution=64)
    tall = build_generator("dcgan", {}, latent_dim=100, resolution=Size(48, 64))
    assert count_parameters(square) - count_parameters(tall) == 4 * 100 * 512


def test_a_square_of_each_rectangle_is_read_unreduced() -> None:
    options = {"read_at": 64, "crop": 32, "channels": 4, "head_width": 8}
    network = build_discriminator("projected", options, resolution=Size(48, 64)).eval()
    images = torch.randn(2, 3, 64, 48)
    changed = images.clone()
    changed[:, :, 24:40, 16:32] = 0
    realness = network(images, torch.zeros(2, 0, dtype=torch.int64)).realness
    assert realness.shape[1] % 8 == 0  # of four heads for the whole, and four for the square
    square = network.square
    assert callable(square)
    assert (square(changed) != square(images)).any()
    with pytest.raises(ImpastoError, match="below the resolution, 48x64"):
        build_discriminator("projected", {**options, "crop": 64}, resolution=Size(48, 64))


def test_others_are_refused_with_those_that_can() -> None:
    for role in ("generator", "discriminator"):
        with pytest.raises(ImpastoError) as raised:
            built("artgan", role, Size(48, 64))
        assert "network 'artgan' makes squares, not 48x64; rectangles are made by" in str(
            raised.value
        )
        assert ", ".join(able(role)) in str(raised.value)
        assert f"--set {role}.network=NAME" in str(raised.value)


def test_fastgan_needs_sides_that_its_decoders_can_double() -> None:
    with pytest.raises(ImpastoError, match="whose sides are multiples of 32, not 240x272"):
        build_discriminator("fastgan", {}, resolution=Size(240, 272))


def test_the_size_at_which_frozen_networks_read() -> None:
    assert in_proportion(64, 224) == 224
    assert in_proportion(Size(48, 64), 64) == Size(48, 64)
    assert in_proportion(Size(192, 256), 64) == Size(48, 64)
    assert in_proportion(Size(48, 64), 224) == Size(192, 256)
    assert in_proportion(Size(224, 288), 256) == Size(224, 288)
    assert (square_of(64), square_of(Size(48, 64)), square_of(Size(224, 288))) == (64, 64, 256)


def test_frozen_features_keep_the_proportions() -> None:
    images = torch.rand(2, 3, 64, 48) * 2 - 1
    frozen = FrozenFeatures(64)
    with torch.no_grad():
        maps, expected = frozen(images), frozen.network.stages(images)
    for found, there in zip(maps, expected, strict=True):
        assert torch.equal(found, there)
    assert maps[0].shape[2:] == (32, 24)
    assert torch.equal(resized(images, Size(24, 32)), F.avg_pool2d(images, 2))
