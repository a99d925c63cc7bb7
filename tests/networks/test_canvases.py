"""Canvases of all families: pictures of fields of latents and classes."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks import build_generator
from impasto.networks._canvas import placed, placed_linear, spread
from impasto.networks._latent import LatentGenerator
from impasto.networks._overlaps import Overlaps
from impasto.registry import load_module, module_names

SIZES = (3, 2)
UNCONDITIONAL = ("dcgan", "lean")
FLAGSHIP = {"width": 8, "embedding": 6, "self_modulation": True}
SECOND = {"base": {"network": "artgan", "width": 4}, "base_resolution": 32}
VARIANTS: list[tuple[str, dict[str, Any], int]] = [
    ("dcgan", {"width": 4}, 32),
    ("dcgan", {"width": 4, "batch_norm": False}, 8),
    ("lean", {"widest": 16, "narrowest": 4}, 64),
    ("artgan", {"width": 4}, 64),
    ("artgan", {"width": 4, "depth": 2}, 16),
    ("artgan_autoencoder", {"width": 2}, 32),
    ("gangogh", {"width": 4}, 64),
    ("gangogh", {"width": 4, "condition_upto": 2}, 32),
    ("gangogh", {"width": 4, "global_conditioning": False}, 16),
    ("r3gan", {"width": 16, "full_width_upto": 8}, 64),
    ("r3gan", {"width": 16, "blocks": 3}, 16),
    ("fastgan", {"width": 8, "embedding": 6}, 64),
    ("fastgan", FLAGSHIP, 32),
    ("fastgan", {**FLAGSHIP, "pixel_shuffle": True, "blur": True}, 64),
    ("fastgan", {**FLAGSHIP, "width": 4, "pixel_shuffle": True, "spectral_norm": False}, 128),
    ("fastgan", {**FLAGSHIP, "width": 4, "excite": False}, 128),
    (
        "stacked",
        {"base": {"network": "fastgan", **FLAGSHIP}, "base_resolution": 32, "width": 4},
        64,
    ),
    ("stacked", {**SECOND, "width": 4, "base_fields": (1,), "skip": True}, 64),
]
NAMES = [f"{name}-{place}" for place, (name, _, _) in enumerate(VARIANTS)]


def generator(name: str, options: dict[str, Any], resolution: int) -> Any:
    """A generator in float64 with random batch norms, whose pictures have middle values."""
    torch.manual_seed(0)
    sizes = () if name in UNCONDITIONAL else SIZES
    network = build_generator(
        name, options, latent_dim=8, resolution=resolution, label_sizes=sizes
    ).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, 1 / math.sqrt(parameter[0].numel()))
    return network.double()


def inputs(network: Any, *shape: int) -> tuple[Tensor, Tensor]:
    """Latents and class weights of this shape after the second dimension."""
    count = sum(getattr(network, "label_sizes", SIZES if hasattr(network, "embedding") else ()))
    return (
        torch.randn(2, 8, *shape, dtype=torch.float64),
        torch.rand(2, count, *shape, dtype=torch.float64),
    )


def test_all_families_are_here() -> None:
    families = {
        name
        for name in module_names("networks")
        if hasattr(load_module("networks", name, "network"), "Generator")
    }
    assert families == {"flow", *(name for name, _, _ in VARIANTS)}


def flow(latent_channels: int | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    made = build_generator(
        "flow",
        {"steps": 2, "patch": 4, **options},
        latent_dim=3 * 16 * 16,
        resolution=16,
        label_sizes=SIZES,
        latent_channels=latent_channels,
    )
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0.0, 0.1)
    return made.double().eval()


def noise(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    return (
        torch.randn(2, 3 * 16 * 16, rows, columns, dtype=torch.float64),
        torch.rand(2, 5, rows, columns, dtype=torch.float64),
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"body": "transformer"}, {"preconditioning": "edm", "guidance": 2.0}],
    ids=["unet", "transformer", "edm"],
)
@torch.inference_mode()
def test_flow_on_one_window_and_on_many(options: dict[str, Any]) -> None:
    """A canvas of one picture is that picture. One that goes round does so, also where its noise and
    classes are moved on by a picture."""
    network = flow(**options)
    latents, weights = noise(1, 1)
    own = network(latents[..., 0, 0], weights[..., 0, 0])
    assert own.std() > 1e-3
    torch.testing.assert_close(network.canvas(latents, weights), own)
    latents, weights = noise(2, 3)
    whole = network.canvas(latents, weights, tile=True)
    assert whole.shape == (2, 3, 32, 48)
    moved = network.canvas(*(each.roll((1, 2), (2, 3)) for each in (latents, weights)), tile=True)
    torch.testing.assert_close(moved, whole.roll((16, 32), (2, 3)))
    assert not torch.allclose(network.canvas(latents, weights), whole)


@pytest.mark.parametrize("tile", [False, True])
def test_windows_are_averaged(tile: bool) -> None:
    overlaps = Overlaps(4, 2, 3, tile=tile)
    assert len(overlaps.starts) == (24 if tile else 15)
    canvas = torch.randn(2, 3, 8, 12)
    none = torch.zeros(2, len(overlaps.starts), 1)
    torch.testing.assert_close(overlaps.averaged(lambda parts, _: parts, canvas, none), canvas)
    # By hand along one row: at a place 0.5 from the edge of one window, 1.5 from that of the other.
    numbers = torch.arange(float(len(overlaps.starts))).view(1, -1, 1).expand(2, -1, -1)
    columns = 6 if tile else 5
    made = overlaps.averaged(
        lambda parts, each: (each % columns)[:, :, None, None].expand_as(parts), canvas, numbers
    )
    expected = [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75]
    torch.testing.assert_close(made[0, 0, 4, 2:10], torch.tensor(expected))
    field = torch.arange(6.0).view(1, 1, 2, 3)
    middles = overlaps.of_fields(field)[0, :columns, 0]
    assert middles.tolist() == [0, 0.5, 1, 1.5, 2, 1][:columns]


@pytest.mark.parametrize("tile", [False, True])
@torch.inference_mode()
def test_latents_of_a_canvas_are_decoded(tile: bool) -> None:
    """By a decoder that sees its neighbourhood. A tile's goes round as the latents do."""
    inner = flow(latent_channels=3)
    blur = nn.Conv2d(3, 3, 5, padding=2, bias=False).double()
    decoder = nn.Sequential(blur, nn.Upsample(scale_factor=2))
    network = LatentGenerator(inner, decoder, 0.5)
    latents, weights = noise(1, 2)
    made = network.canvas(latents, weights, tile=tile)
    inside = inner.canvas(latents, weights, tile=tile) / 0.5
    if tile:
        inside = F.pad(inside, (2, 2, 2, 2), mode="circular")
        expected = F.interpolate(F.conv2d(inside, blur.weight), scale_factor=2)
    else:
        expected = decoder(inside)
    torch.testing.assert_close(made, expected)
    assert (network.canvas_side, network.canvas_margin) == (1, None)


@pytest.mark.parametrize(("name", "options", "resolution"), VARIANTS, ids=NAMES)
@torch.inference_mode()
def test_one_latent_everywhere_is_its_picture(
    name: str, options: dict[str, Any], resolution: int
) -> None:
    network = generator(name, options, resolution)
    latents, weights = inputs(network)
    own = network(latents, weights)
    assert own.std() > 1e-3
    side = network.canvas_side
    fields = [each[:, :, None, None].expand(-1, -1, side, side) for each in (latents, weights)]
    torch.testing.assert_close(network.canvas(*fields), own)
    levels = getattr(network, "levels", None)
    if levels is not None:
        several = torch.randn(2, levels, 8, dtype=torch.float64)
        field = several[..., None, None].expand(-1, -1, -1, side, side)
        torch.testing.assert_close(network.canvas(field, fields[1]), network(several, weights))


@pytest.mark.parametrize(("name", "options", "resolution"), VARIANTS, ids=NAMES)
@torch.inference_mode()
def test_pixels_depend_on_near_places_only(
    name: str, options: dict[str, Any], resolution: int
) -> None:
    network = generator(name, options, resolution)
    side, margin = network.canvas_side, network.canvas_margin
    # Large pictures in one direction only, for time.
    across, down = margin + 2, margin + 2 if resolution < 64 else 1
    latents, weights = inputs(network, down * side, across * side)
    whole = network.canvas(latents, weights)
    assert whole.shape == (2, 3, down * resolution, across * resolution)
    # The same places without the last column of pictures, and without the last row.
    part = network.canvas(latents[..., :-side], weights[..., :-side])
    kept = (across - 1 - margin) * resolution
    torch.testing.assert_close(part[..., :kept], whole[..., :kept])
    if down - 1 > margin:
        part = network.canvas(latents[..., :-side, :], weights[..., :-side, :])
        kept = (down - 1 - margin) * resolution
        torch.testing.assert_close(part[..., :kept, :], whole[..., :kept, :])


@torch.inference_mode()
def test_classes_are_a_field_everywhere() -> None:
    """At both ends of a wide canvas, classes do what they do on a canvas with one class."""
    network = generator("fastgan", FLAGSHIP, 32)
    latents, _ = inputs(network, 4, 24)
    one, other = torch.eye(5, dtype=torch.float64)[[0, 2]][:, :, None, None].expand(-1, -1, 4, 24)
    both = torch.cat([one[..., :12], other[..., 12:]], dim=2)
    made = [network.canvas(latents[:1], each[None]) for each in (one, other, both)]
    assert not torch.allclose(made[0], made[1])
    torch.testing.assert_close(made[2][..., :32], made[0][..., :32])
    torch.testing.assert_close(made[2][..., -32:], made[1][..., -32:])


@pytest.mark.parametrize("side", [1, 2, 4])
def test_a_layer_is_placed_as_by_hand(side: int) -> None:
    torch.manual_seed(side)
    layer = nn.ConvTranspose2d(5, 3, side)
    field = torch.randn(2, 5, 3 * side, 2 * side)
    made = placed(layer.weight, field, layer.bias)
    linear = nn.Linear(5, 3 * side * side)
    other = placed_linear(linear, side, field)
    for y in range(3 * side):
        for x in range(2 * side):
            vector = field[:, :, y, x]
            own = layer(vector[:, :, None, None])[:, :, y % side, x % side]
            torch.testing.assert_close(made[:, :, y, x], own)
            own = linear(vector).view(2, 3, side, side)[:, :, y % side, x % side]
            torch.testing.assert_close(other[:, :, y, x], own)


def test_a_field_is_spread_evenly() -> None:
    field = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 2, 4)
    wide = spread(field, torch.zeros(1, 1, 4, 8))
    assert wide[0, 0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert spread(field, torch.zeros(1, 7, 2, 4)) is field
