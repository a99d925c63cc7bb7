from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from impasto.errors import ImpastoError
from impasto.networks import build_discriminator, build_generator, count_parameters
from impasto.networks._layers import GatedLinearUnit
from impasto.registry import load_module, module_names


def families(*players: str) -> list[str]:
    """Networks whose file holds these; a second stage, say, is a generator only."""
    files = {name: load_module("networks", name, "network") for name in module_names("networks")}
    return [name for name, file in files.items() if all(hasattr(file, p) for p in players)]


@pytest.mark.parametrize("family", families("Generator", "Discriminator"))
@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_the_contract(family: str, resolution: int) -> None:
    sizes: tuple[int, ...] = (3, 2)
    try:
        generator = build_generator(
            family, {}, latent_dim=10, resolution=resolution, label_sizes=sizes
        )
    except ImpastoError as error:
        assert "knows no classes" in str(error)  # noqa: PT017
        sizes = ()
        generator = build_generator(family, {}, latent_dim=10, resolution=resolution)
    discriminator = build_discriminator(family, {}, resolution=resolution, label_sizes=sizes)
    labels = torch.tensor([[0, 1], [-1, 0], [2, -1]])[:, : len(sizes)]
    images = generator(torch.randn(3, 10), labels)
    assert images.shape == (3, 3, resolution, resolution)
    assert -1 <= images.min() <= images.max() <= 1
    assert not torch.equal(images[0], images[1])
    realness = discriminator(images, labels).realness
    assert realness.ndim == 2
    assert len(realness) == 3
    # Every weight of both players has a say in the game.
    judgement = discriminator(images, labels)
    said = [judgement.realness, *(judgement.class_logits or ())]
    said += [] if judgement.reconstruction is None else [judgement.reconstruction]
    said += [painted for painted, _ in judgement.reconstruct()] if judgement.reconstruct else []
    torch.stack([part.sum() for part in said]).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            assert parameter.grad is not None, f"{family}: {name}"


def test_dcgan_has_the_tutorials_parameters() -> None:
    # 100-512-256-128-64-3 transposed 4x4 convolutions without biases, two values a batch norm
    # channel; and 3-64-128-256-512-1, without batch norm after the first.
    by_hand = 16 * (100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    by_hand += 2 * (512 + 256 + 128 + 64)
    generator = build_generator("dcgan", {}, latent_dim=100, resolution=64)
    assert count_parameters(generator) == by_hand == 3_576_704
    by_hand = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1) + 2 * (128 + 256 + 512)
    discriminator = build_discriminator("dcgan", {}, resolution=64)
    assert count_parameters(discriminator) == by_hand == 2_765_568


def test_dcgan_weights_start_as_the_paper_says() -> None:
    torch.manual_seed(0)
    generator: Any = build_generator("dcgan", {}, latent_dim=100, resolution=64)
    convolution, norm = generator.layers[0][0], generator.layers[0][1]
    assert convolution.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert convolution.weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.005)
    assert norm.bias.abs().max().item() == 0


def test_the_leaky_generator_leaks() -> None:
    kinds = {
        activation: {
            type(module).__name__
            for module in build_generator(
                "dcgan", {"activation": activation}, latent_dim=8, resolution=64
            ).modules()
        }
        for activation in ("relu", "leaky_relu")
    }
    assert "LeakyReLU" in kinds["leaky_relu"]
    assert "ReLU" not in kinds["leaky_relu"]
    assert "LeakyReLU" not in kinds["relu"]


def test_a_dcgan_image_depends_on_its_batch_only_by_batch_norm() -> None:
    latents, labels = torch.randn(4, 8), torch.zeros(4, 0, dtype=torch.long)
    for batch_norm in (True, False):
        torch.manual_seed(0)
        generator = build_generator(
            "dcgan", {"batch_norm": batch_norm}, latent_dim=8, resolution=16
        )
        alone, beside = generator(latents[:2], labels[:2]), generator(latents, labels)[:2]
        assert torch.allclose(alone, beside, atol=1e-6) is not batch_norm
    # 8-8-4-3: 4x4 kernels, and a bias a channel in the layers that had batch norm.
    narrow = build_generator(
        "dcgan", {"batch_norm": False, "width": 4}, latent_dim=8, resolution=16
    )
    assert count_parameters(narrow) == 16 * (8 * 8 + 8 * 4 + 4 * 3) + 8 + 4


def test_a_pooling_dcgan_discriminator_has_no_strides() -> None:
    torch.manual_seed(0)
    discriminator: Any = build_discriminator("dcgan", {"pooling": True, "width": 4}, resolution=16)
    # 3-4-8: 3x3 kernels, batch norm after the second; then one of 4x4 to the logit.
    assert count_parameters(discriminator) == 9 * (3 * 4 + 4 * 8) + 2 * 8 + 16 * 8
    convolutions = [each for each in discriminator.modules() if isinstance(each, nn.Conv2d)]
    assert all(each.stride == (1, 1) for each in convolutions)
    images = torch.randn(2, 3, 16, 16)
    maps = F.conv2d(images, convolutions[0].weight, padding=1)
    by_hand = F.leaky_relu(maps.unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5)), 0.2)
    torch.testing.assert_close(discriminator.layers[0](images), by_hand)


@pytest.mark.parametrize("family", families("Discriminator"))
@pytest.mark.parametrize("resolution", [4, 48, 100])
def test_impossible_resolutions(family: str, resolution: int) -> None:
    with pytest.raises(ImpastoError, match=f"not {resolution}; choose one of these"):
        build_discriminator(family, {}, resolution=resolution)


def test_unknown_settings_and_networks() -> None:
    with pytest.raises(ImpastoError, match=r"unknown setting 'generator.depth'; there is act"):
        build_generator("dcgan", {"depth": 3}, latent_dim=8, resolution=64)
    with pytest.raises(ImpastoError, match=r"'generator.activation' cannot be 'gelu'"):
        build_generator("dcgan", {"activation": "gelu"}, latent_dim=8, resolution=64)
    with pytest.raises(ImpastoError, match="unknown network 'biggan'"):
        build_generator("biggan", {}, latent_dim=8, resolution=64)


def test_the_gated_linear_unit_is_torchs() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 6, 4, 4, requires_grad=True)
    ours, theirs = GatedLinearUnit()(maps), F.glu(maps, dim=1)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    torch.testing.assert_close(
        *(torch.autograd.grad((each * weights).sum(), maps) for each in (ours, theirs))
    )
