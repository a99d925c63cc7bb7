"""Augmentations of rectangles move pixels without shearing them."""

import math

import pytest
import torch
from torch import Tensor

from impasto.augmentations import Augmentation, rotate90, rotation
from impasto.augmentations._resampling import pixel_places
from impasto.objectives._augmentation_labels import affine_maps
from impasto.registry import module_names

HEIGHT, WIDTH = 64, 48


def _in_pixels(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x * WIDTH / 2, y * HEIGHT / 2], dim=-1)


def test_rotation_keeps_distances() -> None:
    images = torch.zeros(5, 3, HEIGHT, WIDTH)
    x, y = pixel_places(images)
    before, after = _in_pixels(x, y), _in_pixels(*rotation.source(images, x, y))
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
    across = (after[:, 0, 1] - after[:, 0, 0]).norm(dim=-1)
    torch.testing.assert_close(across, torch.ones(5), rtol=1e-4, atol=1e-4)


def test_told_rotations_keep_distances() -> None:
    angle = torch.tensor([0.3, 1.2, -2.0])
    values = torch.zeros(3, 9)
    values[:, 3], values[:, 4] = angle.cos() - 1, angle.sin()
    linear = affine_maps(values, HEIGHT / WIDTH)[:, :, :2]
    units = torch.diag(torch.tensor([WIDTH / 2, HEIGHT / 2]))
    in_pixels = units @ linear @ units.inverse()
    torch.testing.assert_close(in_pixels @ in_pixels.mT, torch.eye(2).expand(3, 2, 2))
    assert in_pixels[0, 0, 0].item() == pytest.approx(math.cos(0.3))


def test_quarter_turns_are_left_out() -> None:
    torch.manual_seed(0)
    images = torch.rand(32, 3, HEIGHT, WIDTH)
    turned = rotate90.augment(images)
    upside_down = images.flip((2, 3))
    kept = (turned == images).flatten(1).all(1)
    assert 4 < int(kept.sum()) < 28
    assert torch.equal(turned[~kept], upside_down[~kept])


@pytest.mark.parametrize("kind", module_names("augmentations"))
def test_every_kind_keeps_the_shape(kind: str) -> None:
    images = torch.rand(4, 3, HEIGHT, WIDTH, requires_grad=True)
    augmented = Augmentation([kind])(images)
    assert augmented.shape == images.shape
    augmented.sum().backward()
    assert images.grad is not None
