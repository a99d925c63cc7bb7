"""Every augmentation: by hand with given draws, and over all kinds what they promise in common."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.augmentations import PRESETS, Augmentation
from impasto.augmentations._resampling import pixel_places, resample
from impasto.errors import ImpastoError
from impasto.registry import load_module, module_names

KINDS = module_names("augmentations")

UNCHANGED_SHARE = {"flip": 1 / 2, "rotate90": 1 / 4, "luma_flip": 1 / 2, "translation": 1 / 9}
"""Of kinds that may be drawn and change nothing: how often, on pictures of 8 pixels."""

STILL = {
    "colour": {"brightness": 0.0, "saturation": 0.0, "contrast": 0.0},
    "translation": {"reach": 0.0},
    "cutout": {"size": 0.0},
    "rotation": {"most": 0.0},
    "hue": {"most": 0.0},
    **{
        kind: {"sigma": 0.0}
        for kind in ("scale", "stretch", "shift", "brightness", "contrast", "saturation", "noise")
    },
}
"""The options under which a kind changes nothing, whatever is drawn."""


def pictures(count: int = 4, side: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, 3, side, side, dtype=dtype) * 2 - 1


def apply(kind: str, images: Tensor, **options: Any) -> Tensor:
    """The kind's change with options of its own."""
    module = load_module("augmentations", kind, "augmentation")
    if hasattr(module, "source"):
        return resample(images, *module.source(images, *pixel_places(images), **options))
    changed: Tensor = module.augment(images, **options)
    return changed


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a kind draw these numbers, a list a call and a number a picture."""

    def give(kind: str, function: str, *draws: list[float]) -> None:
        calls = iter(draws)
        monkeypatch.setattr(
            load_module("augmentations", kind, "augmentation"),
            function,
            lambda images: torch.tensor(next(calls), dtype=images.dtype)[:, None, None, None],
        )

    return give


# What all kinds have in common.


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_no_strength(kind: str) -> None:
    if kind not in STILL:
        assert kind in UNCHANGED_SHARE, "a kind that always does something needs a strength"
        return
    images = pictures()
    torch.testing.assert_close(apply(kind, images, **STILL[kind]), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shape_type_and_layout_are_kept(kind: str, layout: torch.memory_format) -> None:
    images = pictures().contiguous(memory_format=layout)
    for probability in (1.0, 0.5):
        changed = Augmentation([kind])(images, probability)
        assert changed.shape == images.shape
        assert changed.dtype == images.dtype
        assert changed.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("kind", KINDS)
def test_layout_changes_no_value(kind: str) -> None:
    images = pictures()
    torch.manual_seed(1)
    changed = Augmentation([kind])(images)
    torch.manual_seed(1)
    other = Augmentation([kind])(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(other, changed)


@pytest.mark.parametrize("kind", KINDS)
def test_each_picture_has_its_own_draw(kind: str) -> None:
    torch.manual_seed(0)
    same = pictures(1).expand(24, -1, -1, -1).contiguous()
    changed = Augmentation([kind])(same)
    different = {tuple(picture.flatten().tolist()) for picture in changed}
    assert len(different) >= {"flip": 2, "luma_flip": 2, "rotate90": 4}.get(kind, 6)


@pytest.mark.parametrize("kind", [*KINDS, *PRESETS])
def test_needs_no_value_on_the_host(kind: str) -> None:
    """On the meta device, where tensors have no values; differentiated twice, as R1 does."""
    images = torch.zeros(2, 3, 16, 16, device="meta", requires_grad=True)
    probability = torch.tensor(0.5, device="meta")
    changed = Augmentation([kind])(images, probability)
    (gradient,) = torch.autograd.grad(changed.square().sum(), images, create_graph=True)
    gradient.square().sum().backward()
    assert changed.shape == images.shape
    assert images.grad is not None


@pytest.mark.parametrize("kind", [*KINDS, *PRESETS])
def test_gradient_and_its_gradient(kind: str) -> None:
    torch.manual_seed(0)
    images = pictures(2, 6, torch.float64).requires_grad_()

    def changed(images: Tensor) -> Tensor:
        torch.manual_seed(1)
        return Augmentation([kind])(images, 0.8)

    assert torch.autograd.gradcheck(changed, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(changed, (images,), fast_mode=True)


@pytest.mark.parametrize("kind", [*KINDS, *PRESETS])
@pytest.mark.parametrize("probability", [0, 0.0, torch.tensor(0.0)])
def test_probability_0_leaves_every_bit(kind: str, probability: float | Tensor) -> None:
    images = pictures()
    assert torch.equal(Augmentation([kind])(images, probability), images)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probability", [0.3, 1.0, torch.tensor(0.3), torch.tensor(1.0)])
def test_so_many_are_changed_and_the_rest_not_at_all(
    kind: str, probability: float | Tensor
) -> None:
    torch.manual_seed(3)
    count = 600
    images = pictures(count)
    changed = (Augmentation([kind])(images, probability) != images).flatten(1).any(dim=1)
    expected = float(probability) * (1 - UNCHANGED_SHARE.get(kind, 0))
    # Four standard deviations of a binomial share; with none, where all are changed.
    slack = 4 * math.sqrt(expected * (1 - expected) / count)
    assert changed.float().mean().item() == pytest.approx(expected, abs=slack + 1e-9)


@pytest.mark.parametrize("kind", ["colour", "cutout"])
def test_a_certain_tensor_changes_all_as_a_number_does(kind: str) -> None:
    images = pictures(50)
    torch.manual_seed(4)
    always = Augmentation([kind])(images, 1)
    torch.manual_seed(4)
    assert torch.equal(Augmentation([kind])(images, torch.tensor(1.0)), always)


@settings(max_examples=25)
@given(
    kinds=st.lists(st.sampled_from(KINDS), max_size=4),
    count=st.integers(1, 3),
    side=st.integers(1, 20),
    probability=st.floats(0, 1),
)
def test_any_kinds_on_any_pictures(
    kinds: list[str], count: int, side: int, probability: float
) -> None:
    images = pictures(count, side)
    changed = Augmentation(kinds)(images, probability)
    assert changed.shape == images.shape
    assert changed.isfinite().all()


# Names.


def test_presets_stand_for_their_kinds() -> None:
    assert Augmentation(["diffaugment", "noise"]).kinds == (
        *("colour", "translation", "cutout"),
        "noise",
    )
    for kinds in PRESETS.values():
        assert set(kinds) <= set(KINDS)
    assert not set(PRESETS) & set(KINDS)


def test_no_kinds_change_nothing() -> None:
    images = pictures()
    assert Augmentation([])(images) is images


def test_an_unknown_kind_is_told_with_the_known_ones() -> None:
    with pytest.raises(ImpastoError, match=r"unknown augmentation 'color'; .*bgc.*colour.*cutout"):
        Augmentation(["color"])


# One by one, by hand.


def test_colour_by_its_three_published_steps(drawn: Callable[..., None]) -> None:
    drawn("colour", "uniform", [0.9, 0.2], [0.25, 1.0], [0.5, 0.1])
    images = pictures(2)
    expected = images + torch.tensor([0.4, -0.3])[:, None, None, None]
    grey = expected.mean(dim=1, keepdim=True)
    expected = grey + (expected - grey) * torch.tensor([0.5, 2.0])[:, None, None, None]
    mean = expected.mean(dim=(1, 2, 3), keepdim=True)
    expected = mean + (expected - mean) * torch.tensor([1.0, 0.6])[:, None, None, None]
    torch.testing.assert_close(apply("colour", images), expected)


def test_colour_moves_a_pictures_mean_by_the_brightness_alone() -> None:
    torch.manual_seed(0)
    images = pictures(64)
    moved = (apply("colour", images) - images).mean(dim=(1, 2, 3))
    assert moved.abs().max() <= 0.5
    assert moved.std() > 0.2  # uniform in plus or minus 0.5: 0.29


@pytest.mark.parametrize(("down", "right"), [(2, -1), (-2, 2), (0, 1), (1, 0), (0, 0)])
def test_translation_is_a_roll_with_zeros(
    down: int, right: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = torch.tensor([[down, 0], [right, 0]])
    monkeypatch.setattr(torch, "randint", lambda *args, **kwargs: moves)
    images = pictures(2, side=16)
    expected = images[0].roll((down, right), dims=(1, 2))
    rows, columns = torch.arange(16) - down, torch.arange(16) - right
    expected[:, (rows < 0) | (rows > 15)] = 0
    expected[:, :, (columns < 0) | (columns > 15)] = 0
    changed = apply("translation", images)
    assert torch.equal(changed[0], expected)
    assert torch.equal(changed[1], images[1])


def test_translation_goes_up_to_an_eighth_of_the_side() -> None:
    """The lit pixel in the middle is found in each of 5 x 5 places, about as often."""
    torch.manual_seed(0)
    images = torch.zeros(5_000, 3, 17, 17)
    images[:, :, 8, 8] = 1
    hits = apply("translation", images)[:, 0].sum(dim=0)
    assert hits.sum() == 5_000
    assert hits[6:11, 6:11].min() > 200 - 5 * math.sqrt(200)


def test_cutout_is_a_square_of_half_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    centres = iter([torch.tensor([[8], [0]]), torch.tensor([[5], [16]])])
    monkeypatch.setattr(torch, "randint", lambda *args, **kwargs: next(centres))
    changed = apply("cutout", torch.ones(2, 3, 16, 16))
    expected = torch.ones(2, 3, 16, 16)
    expected[0, :, 4:12, 1:9] = 0
    expected[1, :, :4, 12:] = 0  # a corner: only a quarter of the square lies inside
    assert torch.equal(changed, expected)


def test_cutout_reaches_every_place() -> None:
    """Of the 17 places a centre may have, 8 cover a row of the middle, and 5 the top row."""
    torch.manual_seed(0)
    share = (apply("cutout", torch.ones(20_000, 3, 16, 16))[:, 0] == 0).float().mean(dim=0)
    middle, corner = (8 / 17) ** 2, (5 / 17) ** 2
    assert share[8, 8].item() == pytest.approx(middle, abs=0.02)
    assert share[0, 0].item() == pytest.approx(corner, abs=0.02)


def test_flip_mirrors_half_of_them() -> None:
    torch.manual_seed(0)
    images = pictures(400)
    changed = apply("flip", images)
    mirrored = (changed == images.flip(3)).flatten(1).all(dim=1)
    assert torch.equal(changed[~mirrored], images[~mirrored])
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 20)


def test_rotate90_takes_each_quarter_turn_as_often() -> None:
    torch.manual_seed(0)
    images = pictures(400)
    changed = apply("rotate90", images)
    turned = torch.stack(
        [(changed == images.rot90(k, (2, 3))).flatten(1).all(dim=1) for k in range(4)]
    )
    assert (turned.sum(dim=0) == 1).all()
    for share in turned.float().mean(dim=1):
        assert share.item() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 400))


@pytest.mark.parametrize("quarters", [-1, 0, 1])
def test_rotation_by_a_quarter_is_exact(quarters: int, drawn: Callable[..., None]) -> None:
    drawn("rotation", "uniform", [0.5 + quarters / 4])
    images = pictures(1)
    expected = images.rot90(quarters, (2, 3))
    torch.testing.assert_close(apply("rotation", images), expected, atol=1e-5, rtol=0)


def test_scale_by_two_shows_the_middle(drawn: Callable[..., None]) -> None:
    drawn("scale", "normal", [5.0])  # 2 ** (0.2 * 5)
    images = pictures(1, side=16)
    expected = F.interpolate(images, scale_factor=2, mode="bilinear")[:, :, 8:24, 8:24]
    torch.testing.assert_close(apply("scale", images), expected, atol=1e-5, rtol=0)


def test_scale_by_a_half_mirrors_the_borders(drawn: Callable[..., None]) -> None:
    """Its two light columns at the left edge become one, and the mirrored picture's one beside it."""
    drawn("scale", "normal", [-5.0])
    images = torch.zeros(1, 3, 8, 8)
    images[:, :, :, :2] = 1
    row = apply("scale", images)[0, 0, 4]
    assert row.tolist() == pytest.approx([0, 1, 1, 0, 0, 0, 0, 0])


def test_stretch_by_two_is_wider_and_lower(drawn: Callable[..., None]) -> None:
    drawn("stretch", "normal", [5.0])
    x, y = torch.tensor([[[0.8]]]), torch.tensor([[[0.3]]])
    module = load_module("augmentations", "stretch", "augmentation")
    across, down = module.source(pictures(1), x, y)
    assert across.item() == pytest.approx(0.4)
    assert down.item() == pytest.approx(0.6)


def test_shift_by_pixels_and_by_half_of_one(drawn: Callable[..., None]) -> None:
    """0.125 of 8 pixels is one: two to the right and half a one down."""
    drawn("shift", "normal", [2.0], [0.5])
    images = pictures(1)
    changed = apply("shift", images)
    expected = (images[:, :, :-1, :-2] + images[:, :, 1:, :-2]) / 2
    torch.testing.assert_close(changed[:, :, 1:, 2:], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[:, :, 1:, 1], changed[:, :, 1:, 2])  # mirrored at the edge


def test_places_in_a_row_are_sampled_once_and_in_order(drawn: Callable[..., None]) -> None:
    """Scaled by two and then moved by a pixel is not moved first; and not blurred twice."""
    drawn("scale", "normal", [5.0])
    drawn("shift", "normal", [1.0], [0.0])
    images = pictures(1, side=8)
    scaled = F.interpolate(images, scale_factor=2, mode="bilinear")[:, :, 4:12, 4:12]
    changed = Augmentation(["scale", "shift"])(images)
    torch.testing.assert_close(changed[..., 1:], scaled[..., :-1], atol=1e-5, rtol=0)


def test_brightness_adds_and_contrast_multiplies(drawn: Callable[..., None]) -> None:
    drawn("brightness", "normal", [1.0, -2.0])
    drawn("contrast", "normal", [2.0, -2.0])
    images = pictures(2)
    expected = images + torch.tensor([0.2, -0.4])[:, None, None, None]
    torch.testing.assert_close(apply("brightness", images), expected)
    expected = images * torch.tensor([2.0, 0.5])[:, None, None, None]
    torch.testing.assert_close(apply("contrast", images), expected)


def test_luma_flip_changes_the_greys_sign_and_keeps_the_colour(
    drawn: Callable[..., None],
) -> None:
    drawn("luma_flip", "uniform", [0.4, 0.6])
    images = pictures(2)
    changed = apply("luma_flip", images)
    grey = images.mean(dim=1)
    torch.testing.assert_close(changed.mean(dim=1)[0], -grey[0])
    torch.testing.assert_close(changed[0] + grey[0], images[0] - grey[0])
    assert torch.equal(changed[1], images[1])


def test_hue_by_a_third_of_a_turn_passes_the_channels_round(drawn: Callable[..., None]) -> None:
    drawn("hue", "uniform", [0.5 + 1 / 3])
    images = pictures(1)
    torch.testing.assert_close(apply("hue", images), images.roll(1, dims=1))


def test_hue_keeps_greys_and_the_distance_from_them() -> None:
    images = pictures()
    changed = apply("hue", images)
    torch.testing.assert_close(changed.mean(dim=1), images.mean(dim=1))
    torch.testing.assert_close(changed.square().sum(dim=1), images.square().sum(dim=1))


def test_saturation_moves_away_from_grey(drawn: Callable[..., None]) -> None:
    drawn("saturation", "normal", [1.0, -1.0])
    pixel = torch.tensor([0.6, 0.0, 0.3])[None, :, None, None].expand(2, -1, 1, 1)
    changed = apply("saturation", pixel)[:, :, 0, 0]
    assert changed[0].tolist() == pytest.approx([0.9, -0.3, 0.3], abs=1e-6)
    assert changed[1].tolist() == pytest.approx([0.45, 0.15, 0.3], abs=1e-6)


def test_noise_is_of_half_normal_strength() -> None:
    torch.manual_seed(0)
    images = pictures(500, side=16)
    strengths = (apply("noise", images) - images).flatten(1).std(dim=1)
    # The mean of a half-normal is sigma sqrt(2 / pi), its root mean square is sigma.
    assert strengths.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.15)
    assert strengths.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.15)
