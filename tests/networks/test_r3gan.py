"""R3GAN's networks by hand and against the paper's size; its recipes against the published settings."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import AdamConfig, RunConfig, at
from impasto.errors import ImpastoError
from impasto.networks import build_discriminator, build_generator, count_parameters
from impasto.networks.r3gan import Block, Halving
from impasto.registry import load_recipe
from impasto.training.resolve import rehearse

TINY = {"width": 16, "full_width_upto": 8, "blocks": 1}


def pair(resolution: int, sizes: tuple[int, ...] = (), **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    generator = build_generator(
        "r3gan", {**TINY, **options}, latent_dim=6, resolution=resolution, label_sizes=sizes
    )
    discriminator = build_discriminator(
        "r3gan", {**TINY, **options}, resolution=resolution, label_sizes=sizes
    )
    return generator, discriminator


def weigh(channels: int, expansion: int, group_width: int) -> int:
    """Values of a block, by hand: 1x1 up and a bias, grouped 3x3 and a bias, 1x1 down."""
    between = channels * expansion
    return (
        between * (channels + 1)
        + between * (9 * min(group_width, between) + 1)
        + channels * between
    )


def test_the_papers_size() -> None:
    with torch.device("meta"):
        generator = build_generator("r3gan", {"width": 768}, latent_dim=64, resolution=256)
        discriminator = build_discriminator("r3gan", {"width": 768}, resolution=256)
    stages = {768: 4, 384: 1, 192: 1, 96: 1}  # stages of so many channels, at 4 to 256 pixels
    by_hand = sum(2 * count * weigh(channels, 2, 16) for channels, count in stages.items())
    by_hand += 768 * 384 + 384 * 192 + 192 * 96 + 96 * 3  # where channels change, and the pictures
    assert count_parameters(generator) == by_hand + 64 * 768 + 16 * 768 == 23_057_952
    assert count_parameters(discriminator) == by_hand + 16 * 768 + 768 == 23_009_568
    assert round(count_parameters(generator) / 1e6, 2) == 23.06  # as the paper's table says
    assert generator.blocks["4"][0].mix.groups == 96  # type: ignore[index, union-attr]


def test_a_tiny_size_by_hand() -> None:
    generator, discriminator = pair(16, (3, 2))
    by_hand = 2 * weigh(16, 2, 16) + weigh(8, 2, 16) + 16 * 8 + 8 * 3
    assert count_parameters(generator) == by_hand + 16 * (6 + 64) + 16 * 16 + (3 + 2) * 64
    assert count_parameters(discriminator) == by_hand + 16 * 16 + 16 + (3 + 2) * 16


@pytest.mark.parametrize("resolution", [8, 32, 64, 128, 256])
def test_shapes(resolution: int) -> None:
    generator, discriminator = pair(resolution, (3, 2))
    labels = torch.tensor([[0, 1], [-1, -1]])
    images = generator(torch.randn(2, 6), labels)
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    assert discriminator(images, labels).realness.shape == (2, 1)


def test_blocks_add_nothing_at_first() -> None:
    generator, discriminator = pair(16)
    latents, none = torch.randn(2, 6), torch.zeros(2, 0, dtype=torch.int64)
    maps = torch.einsum("bz,cz,chw->bchw", latents, generator.strengths.weight, generator.patterns)
    maps = F.interpolate(maps, scale_factor=2, mode="bilinear")
    maps = F.conv2d(maps, generator.changes["16"].weight)
    maps = F.interpolate(maps, scale_factor=2, mode="bilinear")
    images = torch.tanh(F.conv2d(maps, generator.to_rgb["16"].weight))
    torch.testing.assert_close(generator(latents, none), images)

    maps = discriminator.halving(F.conv2d(images, discriminator.from_rgb["16"].weight))
    maps = discriminator.halving(F.conv2d(maps, discriminator.changes["8"].weight))
    features = (maps * discriminator.patterns.weight[:, 0]).sum((2, 3))
    realness = features @ discriminator.realness.weight.T
    torch.testing.assert_close(discriminator(images, none).realness, realness)


def test_weights_begin_as_in_fixup() -> None:
    torch.manual_seed(0)
    generator: Any = build_generator("r3gan", {"width": 256}, latent_dim=64, resolution=32)
    block = generator.blocks["8"][1]
    scale = 8 ** (-1 / (2 * 3 - 2)) * math.sqrt(2 / 1.04)  # 4 stages of 2 blocks; 3 layers
    assert block.expand.weight.std().item() == pytest.approx(scale / math.sqrt(256), rel=0.01)
    assert block.mix.weight.std().item() == pytest.approx(scale / math.sqrt(9 * 16), rel=0.01)
    assert block.contract.weight.abs().max() == 0
    assert block.expand.bias.abs().max() == block.mix.bias.abs().max() == 0
    # With unit maps in, unit patterns and unit strengths out.
    assert generator.strengths.weight.std().item() == pytest.approx(1 / 8, rel=0.02)


def test_a_block_by_hand() -> None:
    torch.manual_seed(0)
    block = Block(8, 4, 16, 1.0)
    nn.init.normal_(block.contract.weight)
    nn.init.normal_(block.mix.bias)  # type: ignore[arg-type]
    maps = torch.randn(2, 8, 5, 5)

    def leaky(x: Tensor) -> Tensor:
        return x.maximum(0.2 * x)

    up = torch.einsum("oi,bihw->bohw", block.expand.weight[:, :, 0, 0], maps)
    patches = F.unfold(leaky(up), 3, padding=1).unflatten(1, (2, 16 * 9))  # two groups
    kernels = block.mix.weight.flatten(1).unflatten(0, (2, 16))
    mixed = torch.einsum("goi,bgip->bgop", kernels, patches).flatten(1, 2).unflatten(2, (5, 5))
    mixed = leaky(mixed + block.mix.bias[:, None, None])  # type: ignore[index]
    down = torch.einsum("oi,bihw->bohw", block.contract.weight[:, :, 0, 0], mixed)
    torch.testing.assert_close(block(maps), maps + down)


def test_halving_is_doublings_transpose() -> None:
    halving = Halving().double()
    small = torch.zeros(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    large = torch.randn(1, 1, 12, 12, dtype=torch.float64)
    doubled = F.interpolate(small, scale_factor=2, mode="bilinear")
    (transposed,) = torch.autograd.grad(doubled, small, large)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(halving(large)[inner], transposed[inner] / 4)
    # A mirrored picture is halved to the mirrored maps.
    torch.testing.assert_close(halving(large.flip(3)), halving(large).flip(3))
    assert halving(torch.ones(1, 3, 8, 8).double())[:, :, 1:-1, 1:-1].unique().tolist() == [1.0]
    assert not halving.state_dict()


def test_gradients_reach_everything_after_one_step() -> None:
    generator, discriminator = pair(16, (3,))
    for network in (generator, discriminator):
        optimiser = torch.optim.SGD(network.parameters(), 0.1)
        latents, labels = torch.randn(4, 6), torch.tensor([[0], [1], [2], [-1]])
        for _ in range(2):
            optimiser.zero_grad()
            inputs = (latents,) if network is generator else (torch.randn(4, 3, 16, 16),)
            said = network(*inputs, labels)
            (said if network is generator else said.realness).square().mean().backward()
            optimiser.step()
        for name, parameter in network.named_parameters():
            assert parameter.grad.abs().max() > 0, name


def test_labels_matter_and_unknown_ones_add_nothing() -> None:
    generator, discriminator = pair(16, (3, 2))
    latents = torch.randn(1, 6).expand(3, -1)
    labels = torch.tensor([[0, 1], [2, 1], [-1, -1]])
    images = generator(latents, labels)
    assert not torch.allclose(images[0], images[1])
    # Of unknown class: what the latent alone makes.
    without = generator.strengths.weight[:, :6] @ latents[0]
    maps = without[:, None, None] * generator.patterns
    pictures: Tensor = images[2]
    by_hand = maps[None]
    for side in ("8", "16"):
        by_hand = F.interpolate(by_hand, scale_factor=2, mode="bilinear")
        by_hand = generator.changes[side](by_hand) if side in generator.changes else by_hand
    torch.testing.assert_close(pictures, torch.tanh(generator.to_rgb["16"](by_hand))[0])

    same = images[:1].expand(3, -1, -1, -1)
    realness = discriminator(same, labels).realness[:, 0]
    maps = discriminator.halving(discriminator.from_rgb["16"](same[:1]))
    maps = discriminator.halving(discriminator.changes["8"](maps))
    features = discriminator.patterns(maps)[0, :, 0, 0]
    plain = discriminator.realness(features)[0]
    style, genre = discriminator.projection.embedding.fields
    torch.testing.assert_close(realness[2], plain)
    torch.testing.assert_close(
        realness[0], plain + features @ (style[0] + genre[1]) / math.sqrt(16)
    )
    torch.testing.assert_close(
        realness[1], plain + features @ (style[2] + genre[1]) / math.sqrt(16)
    )


def test_a_seed_names_a_picture() -> None:
    generator, _ = pair(16)
    for block in generator.blocks.values():
        nn.init.normal_(block[0].contract.weight, 0, 0.1)
    latents, none = torch.randn(5, 6), torch.zeros(5, 0, dtype=torch.int64)
    together = generator.eval()(latents, none)
    alone = torch.cat([generator(latents[i : i + 1], none[:1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_models_of_two_resolutions_share_what_means_the_same() -> None:
    for small, large in zip(pair(16), pair(32), strict=True):
        shapes = {name: tuple(weight.shape) for name, weight in large.state_dict().items()}
        alone = {
            name
            for name, weight in small.state_dict().items()
            if shapes.get(name) != tuple(weight.shape)
        }
        assert {name.split(".")[0] for name in alone} <= {"to_rgb", "from_rgb"}


def test_channels_that_do_not_divide() -> None:
    with pytest.raises(
        ImpastoError, match=r"stages of 20 channels .* groups of 16; choose another"
    ):
        pair(16, width=20, full_width_upto=16)
    pair(16, width=12, full_width_upto=16)  # 24 in between: one group


@pytest.mark.parametrize(
    ("name", "batch", "gamma", "probability", "half_life"),
    [("r3gan_64", 256, (2, 0.2), 0.3, 500_000), ("r3gan_32", 512, (0.05, 0.005), 0.55, 5_000_000)],
)
def test_the_published_settings(
    name: str, batch: int, gamma: tuple[float, float], probability: float, half_life: int
) -> None:
    config: RunConfig = load_recipe(name)()
    adam, augment = config.generator_optimiser, config.training.augment
    assert isinstance(adam, AdamConfig)
    assert adam == config.discriminator_optimiser
    assert augment is not None
    assert augment.probability is not None
    assert (config.training.batch, config.latent.dim, adam.betas[0]) == (batch, 64, 0)
    assert [term.term for term in config.objective] == ["relativistic", "r1", "r2"]
    changing = {
        adam.learning_rate: (2e-4, 5e-5),
        adam.betas[1]: (0.9, 0.99),
        config.objective[1].weight: gamma,
        config.objective[2].weight: gamma,
        augment.probability: (0, probability),
        config.training.ema_half_life: (0, half_life),
    }
    for setting, (start, end) in changing.items():
        assert at(setting, 0) == pytest.approx(start)
        assert at(setting, 10_000_000) == pytest.approx((start + end) / 2)
        assert at(setting, 20_000_000) == at(setting, 90_000_000) == pytest.approx(end)
    with torch.device("meta"):
        generator: Any = build_generator(
            "r3gan", config.generator.options, latent_dim=64, resolution=config.resolution
        )
    assert generator.channels == [768] * 4 + [384] * (config.resolution == 64)
    rehearse(config, (3, 2))  # at full size, with two label fields
