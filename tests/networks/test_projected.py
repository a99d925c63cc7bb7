"""The projected discriminator, against the feature network it stands on and against sums by hand."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.features import _efficientnet_lite, lite0
from impasto.features._efficientnet_lite import STAGE_CHANNELS, EfficientNetLite
from impasto.features._weights import read_tensors
from impasto.networks import build_discriminator, count_parameters

SMALL: dict[str, Any] = {"read_at": 32, "channels": 4, "head_width": 8}
SIZES = (3, 2)
LABELS = torch.tensor([[0, 1], [-1, 0], [2, -1], [-1, -1]])


def made(
    resolution: int = 32, label_sizes: tuple[int, ...] = (), seed: int = 0, **options: Any
) -> Any:
    torch.manual_seed(seed)
    return build_discriminator(
        "projected", {**SMALL, **options}, resolution=resolution, label_sizes=label_sizes
    )


def pictures(side: int = 32, count: int = 4) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def none(count: int = 4) -> Tensor:
    return torch.zeros(count, 0, dtype=torch.int64)


@pytest.fixture(scope="module")
def unfolded() -> EfficientNetLite:
    """The published network as it is, with its batch norms."""
    network = EfficientNetLite("lite0")
    tensors = _efficientnet_lite.from_published(read_tensors(lite0._weights()))
    network.load_state_dict(tensors)
    return network.eval()


@pytest.mark.parametrize("side", [32, 96])
def test_the_frozen_features_are_lite0s(unfolded: EfficientNetLite, side: int) -> None:
    images = pictures(side, 2)
    with torch.no_grad():
        stages = unfolded.stages(images)
        frozen = lite0.load_frozen().stages(images)
    for expected, found, (stride, channels) in zip(
        stages, frozen, STAGE_CHANNELS.items(), strict=True
    ):
        assert found.shape == (2, channels, side // stride, side // stride)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        assert len(unfolded.stages(images, 5)) == 5
        for expected, found in zip(stages, unfolded.stages(images, 3), strict=False):
            assert torch.equal(found, expected)
        whole = lite0.load(device=torch.device("cpu")).extract(torch.zeros(1, 64, 64, 3))
        expected = unfolded(torch.full((1, 3, 224, 224), -1.0))
    for one, other in zip(whole, expected, strict=True):
        assert one is not None
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_what_the_heads_see(unfolded: EfficientNetLite) -> None:
    """Mixing by hand, of features that another network gives."""
    images = pictures(64)
    plain = made(64, mixing="none", levels=(32, 8))
    network = made(64, levels=(4, 8, 16))
    with torch.no_grad():
        small = images.reshape(4, 3, 32, 2, 32, 2).mean((3, 5))
        _, at_4, at_8, at_16, at_32 = unfolded.stages(small)
        seen = plain.project(images)
        assert list(seen) == [8, 32]
        torch.testing.assert_close(seen[8], at_8, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(seen[32], at_32, rtol=1e-3, atol=1e-3)

        weights = network.mixing.state_dict()
        mixed = {
            stride: torch.einsum(
                "oi,bihw->bohw", weights[f"channels.{stride}.weight"][..., 0, 0], x
            )
            for stride, x in ((4, at_4), (8, at_8), (16, at_16))
        }
        for fine, coarse in ((8, 16), (4, 8)):
            passed = F.conv2d(mixed[coarse], weights[f"scales.{coarse}.weight"], padding=1)
            passed = F.interpolate(passed, scale_factor=2, mode="bilinear", align_corners=False)
            mixed[fine] += passed
        for stride, maps in network.project(images).items():
            torch.testing.assert_close(maps, mixed[stride], rtol=1e-3, atol=1e-2)
        alone = made(64, levels=(4, 8, 16), mixing="cross-channel").project(images)
    assert [maps.shape[1] for maps in alone.values()] == [4, 8, 16]
    even = made(64, expand=False).project(images)
    assert [maps.shape[1] for maps in even.values()] == [4, 4, 4, 4]


def test_pictures_are_enlarged_bilinearly() -> None:
    network = made(read_at=64)
    images = pictures()
    larger = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    for one, other in zip(
        network.project(images).values(), network.project(larger).values(), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("resolution", "options", "side"),
    [
        (32, {}, 4),  # maps of 8, 4, 2 and 1: the first is halved
        (64, {"read_at": 64}, 4),
        (64, {"read_at": 96}, 6),  # 24, 12, 6, 3: to 6, 6, 6, 3
        (128, {"read_at": 64, "pixel_width": 2}, 4),
        (128, {"read_at": 128, "levels": (2, 32)}, 4),
        (64, {"read_at": None}, 7),  # 224: 56, 28, 14, 7
        (256, {"read_at": None, "deviation": True, "pixel_width": 2}, 4),
        (256, {"read_at": 224}, 7),
    ],
)
def test_shapes(resolution: int, options: dict[str, Any], side: int) -> None:
    network = made(resolution, SIZES, **options)
    images = pictures(resolution, 2).requires_grad_()
    realness = network(images, LABELS[:2]).realness
    parts = len(options.get("levels", (4, 8, 16, 32))) + ("pixel_width" in options)
    assert realness.shape == (2, parts * side**2)
    realness.sum().backward()
    assert images.grad is not None
    assert images.grad.flatten(1).abs().amax(1).gt(0).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
    with torch.device("meta"):
        rehearsed = made(resolution, SIZES, **options)
        said = rehearsed(torch.zeros(2, 3, resolution, resolution), torch.zeros(2, 2).long())
    assert said.realness.shape == realness.shape
    assert {n: t.shape for n, t in rehearsed.state_dict().items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }


def test_realness_under_other_labels_is_that_of_looking_again() -> None:
    network = made(64, SIZES, read_at=64, pixel_width=2, deviation=True).eval()
    for name, rows in network.named_parameters():  # a fresh network heeds no label
        if "embedding" in name:
            nn.init.normal_(rows)
    images, others = pictures(64), LABELS.flip(0)
    judgement = network(images, LABELS)
    found = judgement.realness_under(others)
    assert (found - judgement.realness).abs().amax() > 0.1
    torch.testing.assert_close(found, network(images, others).realness)


def test_every_head_weighs_the_same() -> None:
    network = made(64, SIZES, read_at=64, pixel_width=2).eval()
    images = pictures(64)
    with torch.no_grad():
        mean = network(images, LABELS).realness.mean(1)
        heads = [
            network.heads[str(stride)](maps) for stride, maps in network.project(images).items()
        ]
        heads.append(network.pixels(images))
        heads = [seen.with_labels(LABELS) for seen in heads]
    assert [each.shape[-1] for each in heads] == [4, 4, 4, 2, 1]
    by_hand = torch.stack([each.mean((1, 2, 3)) for each in heads]).mean(0)
    torch.testing.assert_close(mean, by_hand)


def test_parameters() -> None:
    # At 64 pixels the mixed maps have 4, 8, 16, 32 channels and sides of 16, 8, 4, 2. Trunks: two
    # halvings 4-4-8, one 8-8, and a 3x3 convolution where nothing is halved; two values a batch norm
    # channel; and a 3x3 convolution to one logit, with a bias.
    trunks = 16 * (4 * 4 + 4 * 8 + 8 * 8) + 9 * (16 * 8 + 32 * 8) + 2 * (4 + 4 * 8)
    by_hand = trunks + 4 * (9 * 8 + 1)
    assert count_parameters(made(64, read_at=64)) == by_hand
    # Four values a class and head.
    assert count_parameters(made(64, SIZES, read_at=64)) == by_hand + 4 * 5 * 8
    # On the pixels 3-2-4-8-16 by 4x4, then 3x3 with a deviation channel, and 4x4 to one logit.
    pixels = 16 * (3 * 2 + 2 * 4 + 4 * 8 + 8 * 16) + 2 + 4 + 8 + 16
    pixels += 9 * 17 * 16 + 16 + 16 * 16 + 1
    assert count_parameters(made(64, read_at=64, pixel_width=2)) == by_hand + pixels
    without = made(64, read_at=64, pixel_width=2, pixel_deviation=False)
    assert count_parameters(without) == by_hand + pixels - 9 * 16
    # Batch norm's two values in place of a bias, but for the first and the last convolution.
    normed = made(64, read_at=64, pixel_width=2, pixel_batch_norm=True)
    assert count_parameters(normed) == by_hand + pixels + 4 + 8 + 16 + 16
    deviation = made(64, read_at=64, deviation=True)
    assert count_parameters(deviation) == by_hand + 4 * 9


def test_the_pixels_discriminator_is_leans() -> None:
    network = made(64, pixel_width=4).pixels
    lean: Any = build_discriminator("lean", {"narrowest": 4, "widest": 32}, resolution=64)
    renamed = {}
    for number, side in enumerate((64, 32, 16, 8)):
        own = f"halvings.{side}" if number else "from_rgb.64"
        renamed[f"halvings.{2 * number}."] = f"{own}.0."
    renamed |= {"last.0.": "joint.0.", "last.2.": "last."}
    state = {}
    for name, tensor in lean.state_dict().items():
        old = next(start for start in renamed if name.startswith(start))
        state[renamed[old] + name.removeprefix(old)] = tensor
    network.load_state_dict(state)
    images = pictures(64)
    with torch.no_grad():
        expected = lean.eval()(images, none()).realness
        torch.testing.assert_close(network.eval()(images).logits.flatten(1), expected)


@pytest.mark.parametrize(
    "width", [3, 4]
)  # with 3, a later layer sees as many channels as the first
def test_the_pixels_discriminator_with_batch_norm_is_dcgans(width: int) -> None:
    network = made(64, pixel_width=width, pixel_deviation=False, pixel_batch_norm=True).pixels
    dcgan: Any = build_discriminator("dcgan", {"width": width}, resolution=64)
    ours, theirs = (
        [type(module) for module in net.modules() if not list(module.children())]
        for net in (network, dcgan)
    )
    joint = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]  # which dcgan has not
    assert ours == [*theirs[:-1], *joint, theirs[-1]]


def test_the_crop_has_heads_of_its_own() -> None:
    """The heads of a square of each picture stand beside those of the whole, and weigh the same."""
    network = made(64, SIZES, crop=32).eval()
    images = pictures(64)
    with torch.no_grad():
        realness = network(images, LABELS).realness
        middle = images[:, :, 16:48, 16:48]
        assert torch.equal(network.square(images), middle)
        outputs = [
            heads[str(stride)](maps).with_labels(LABELS)
            for heads, seen in ((network.heads, images), (network.crop_heads, middle))
            for stride, maps in network.project(seen).items()
        ]
    assert len(outputs) == 8
    by_hand = torch.stack([each.mean((1, 2, 3)) for each in outputs]).mean(0)
    torch.testing.assert_close(realness.mean(1), by_hand)
    alone = count_parameters(made(64, SIZES))
    assert count_parameters(network) == 2 * alone


def test_squares_lie_at_random_in_training() -> None:
    """Each is a part of its picture; one seed gives one choice; without a crop nothing is drawn."""
    network = made(64, crop=32).train()
    # Each pixel holds its own place, so a square tells where it was cut out.
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    images = torch.stack([rows, columns, torch.zeros(64, 64)]).expand(200, -1, -1, -1)
    torch.manual_seed(3)
    squares = network.square(images)
    corners = squares[:, :2, 0, 0]
    for square, (top, left) in zip(squares, corners.int().tolist(), strict=True):
        assert torch.equal(square, images[0, :, top : top + 32, left : left + 32])
    for found in corners.T:
        assert (found.min(), found.max()) == (0, 32)
        assert len(found.unique()) == 33
    assert not torch.equal(corners[:, 0], corners[:, 1])
    torch.manual_seed(3)
    assert torch.equal(network.square(images), squares)
    plain = made(64).train()
    state = torch.get_rng_state()
    plain(pictures(64), none())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_crop_trains_the_generated_picture() -> None:
    """The gradient on a picture comes from the square, at the pixels' own size."""
    network = made(64, crop=32).eval()
    images = pictures(64, 2).requires_grad_()
    maps = network.project(network.square(images))
    network.crop_heads["4"](maps[4]).logits.sum().backward()
    assert images.grad is not None
    inside = images.grad[:, :, 16:48, 16:48]
    assert inside.abs().amax() > 0
    assert images.grad.abs().sum() == inside.abs().sum()


def test_the_frozen_part_is_frozen() -> None:
    network = made(64, SIZES, read_at=64, pixel_width=2)
    names = [name for name, _ in network.named_parameters()] + list(network.state_dict())
    assert not any(name.startswith("features") for name in names)
    assert not any(name.startswith("mixing") for name, _ in network.named_parameters())
    assert sorted(name for name in network.state_dict() if name.startswith("mixing")) == sorted(
        [f"mixing.channels.{stride}.weight" for stride in (4, 8, 16, 32)]
        + [f"mixing.scales.{stride}.weight" for stride in (8, 16, 32)]
    )
    held = {**dict(network.features.named_buffers()), **network.mixing.state_dict()}
    before = {name: tensor.clone() for name, tensor in held.items()}
    assert sum(tensor.numel() for tensor in before.values()) > 2_000_000
    optimiser = torch.optim.Adam(network.parameters(), 0.1)
    heads = {name: tensor.detach().clone() for name, tensor in network.heads.named_parameters()}
    for _ in range(2):
        optimiser.zero_grad()
        network(pictures(64), LABELS).realness.sum().backward()
        optimiser.step()
    for name, tensor in held.items():
        assert torch.equal(tensor, before[name]), name
        assert not tensor.requires_grad
    for name, tensor in network.heads.named_parameters():
        assert not torch.equal(tensor, heads[name]), name


def test_training_mode_stops_before_the_frozen_part() -> None:
    network = made()
    assert network.train() is network
    assert network.training
    assert network.heads.training
    assert not any(module.training for module in network.features.modules())
    with torch.no_grad():
        first = network.project(pictures())
        network(pictures(count=3), none(3))
        again = network.project(pictures())
    assert all(torch.equal(first[stride], again[stride]) for stride in first)


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    network, other = made(label_sizes=SIZES), made(label_sizes=SIZES, seed=1)
    network(pictures(), LABELS)  # batch norm and spectral norm move
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        said = network.eval()(pictures(), LABELS).realness
        assert torch.equal(said, other.eval()(pictures(), LABELS).realness)
        copied = copy.deepcopy(network).to(memory_format=torch.channels_last)
        torch.testing.assert_close(copied(pictures(), LABELS).realness, said)
    stem = copied.features.stem.conv.weight
    assert stem.is_contiguous(memory_format=torch.channels_last)
    assert network.to(torch.float64).features.stem.conv.weight.dtype == torch.float64
    # One's frozen weights are its own.
    assert lite0.load_frozen().stem.conv.weight.dtype == torch.float32  # type: ignore[union-attr]


def test_first_weights_follow_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lite0._published.cache_clear()  # the first network of a process reads the file ...
    first = made(64, pixel_width=2).state_dict()
    monkeypatch.setattr(_efficientnet_lite, "read_tensors", None)  # ... and no other one does
    second, third = made(64, pixel_width=2), made(64, pixel_width=2, seed=1)
    assert all(torch.equal(first[name], tensor) for name, tensor in second.state_dict().items())
    mixing = "mixing.channels.4.weight"
    assert not torch.equal(first[mixing], third.state_dict()[mixing])


def test_each_head_judges_by_labels() -> None:
    network = made(64, SIZES, read_at=64, pixel_width=2).eval()
    images = pictures(64, 1).expand(4, -1, -1, -1)
    with torch.no_grad():  # classes are yet to be learned
        unlearned = network(images, LABELS).realness
        torch.testing.assert_close(unlearned, unlearned[3:].expand(4, -1))
    for name, weights in network.named_parameters():
        if "projection" in name:
            nn.init.normal_(weights)
    plain = made(64, read_at=64, pixel_width=2).eval()
    kept = {n: t for n, t in network.state_dict().items() if "projection" not in n}
    plain.load_state_dict(kept)
    with torch.no_grad():
        said = network(images, LABELS).realness.unflatten(1, (5, 16))
        unconditional = plain(images, none()).realness.unflatten(1, (5, 16))
    # What is not known adds nothing; what is known counts in every head; and fields add up.
    torch.testing.assert_close(said[3], unconditional[3])
    assert (said[:3] - said[3]).abs().amax(2).gt(1e-4).all()
    assert len({tuple(row) for row in said[:, 0].tolist()}) == 4
    both = torch.tensor([[2, 0], [2, -1], [-1, 0], [-1, -1]])
    with torch.no_grad():
        said = network(images, both).realness
    torch.testing.assert_close(said[0] - said[3], said[1] - said[3] + said[2] - said[3])


def test_a_batch_of_one_picture_is_told_by_deviation() -> None:
    network = made(deviation=True).eval()
    images = pictures()
    with torch.no_grad():
        alike = network(images[:1].expand(4, -1, -1, -1), none()).realness[0]
        varied = network(images, none()).realness[0]
    assert (alike - varied).unflatten(0, (4, 16)).abs().amax(1).gt(0).all()


def test_every_convolution_that_learns_has_spectral_norm() -> None:
    network = made(64, read_at=64, pixel_width=2)
    for _ in range(20):  # power iterations
        network(pictures(64), none())
    network.eval()
    learning = [
        module
        for part in (network.heads, network.pixels)
        for module in part.modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert len(learning) == 2 + 1 + 1 + 1 + 4 + 6
    for convolution in learning:
        norm = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)
        assert norm.item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 40}, "crop is 40; it must be null, or 32, 64, 96, ... below the resolution, 32"),
        ({"crop": 32}, "crop is 32; it must be null"),
        ({"read_at": 16}, "read_at is 16; it must be 32, 64, 96"),
        ({"read_at": 100}, "read_at is 100"),
        ({"levels": ()}, "levels is .*; choose some of 2, 4, 8, 16, 32"),
        ({"levels": (4, 64)}, r"levels is \[4, 64\]"),
        ({"pixel_width": -1}, "pixel_width is -1"),
        ({"mixing": "some"}, "'discriminator.mixing' cannot be 'some'"),
    ],
)
def test_impossible_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        made(**options)
