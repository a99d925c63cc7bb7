"""FastGAN's pair: its size by hand, what its parts see, and that a seed names a picture."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training
from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.networks import build_discriminator, build_generator, count_parameters
from impasto.networks._conditioning import ConditionalBatchNorm2d
from impasto.networks._fastgan_layers import Excitation, Gated, ResidualHalving, blurred, quarter
from impasto.training.resolve import rehearse

SIZES = (3, 2)


def generator(resolution: int = 64, sizes: tuple[int, ...] = (), **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"width": 4, "embedding": 6, **options}
    return build_generator(
        "fastgan", options, latent_dim=8, resolution=resolution, label_sizes=sizes
    )


def discriminator(resolution: int = 64, sizes: tuple[int, ...] = (), **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"width": 4, **options}
    return build_discriminator("fastgan", options, resolution=resolution, label_sizes=sizes)


def unlabelled(count: int) -> Tensor:
    return torch.zeros(count, 0, dtype=torch.int64)


def settled(network: Any, *inputs: Tensor) -> Any:
    """In evaluation mode, its running statistics those of these inputs."""
    with torch.no_grad():
        for _ in range(30):
            network(*inputs)
    return network.eval()


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize(
    "options", [{}, {"pixel_shuffle": True, "big": False}, {"excite": False, "noise": False}]
)
@pytest.mark.parametrize("sizes", [(), SIZES])
def test_shapes(resolution: int, options: dict[str, Any], sizes: tuple[int, ...]) -> None:
    plain = {
        "spectral_norm": False
    }  # which changes no shape, and takes long where nothing has values
    with torch.device("meta"):
        labels = torch.zeros(2, len(sizes), dtype=torch.int64)
        images = generator(resolution, sizes, **plain, **options)(torch.zeros(2, 8), labels)
        assert images.shape == (2, 3, resolution, resolution)
        judgement = discriminator(resolution, sizes, **plain)(images, labels)
    assert judgement.realness.shape == (2, 25 if resolution == 16 else 50)
    side = min(resolution // 2, 128)
    for painted, meant in judgement.reconstruct():
        assert painted.shape == meant.shape == (2, 3, side, side)


def test_the_generators_size_by_hand() -> None:
    # Channels at 4, 8, ... 256 pixels; a convolution makes twice as many for the gated linear unit,
    # and a batch norm has two values for each of those.
    channels = [1024, 512, 256, 128, 128, 64, 32]
    by_hand = 256 * 2 * 1024 * 16 + 4 * 1024
    for inputs, outputs in pairwise(channels):
        by_hand += 9 * inputs * 2 * outputs + 4 * outputs
    for big in (512, 128, 64):  # a second convolution, and the noise's strength before both norms
        by_hand += 9 * big * 2 * big + 4 * big + 2
    for small, large in ((1024, 128), (512, 64), (256, 32)):
        by_hand += 16 * small * large + large * large
    by_hand += 9 * 32 * 3
    with torch.device("meta"):
        options = {"spectral_norm": False}
        network = build_generator("fastgan", options, latent_dim=256, resolution=256)
    assert count_parameters(network) == by_hand == 29_127_654


def test_the_discriminators_size_by_hand() -> None:
    by_hand = 9 * 3 * 16
    for inputs, outputs in pairwise([16, 32, 64, 128, 256, 512]):
        by_hand += 16 * inputs * outputs + 9 * outputs * outputs + inputs * outputs + 6 * outputs
    for large, small in ((16, 128), (32, 256), (64, 512)):
        by_hand += 16 * large * small + small * small
    by_hand += 512 * 1024 + 2 * 1024 + 16 * 1024
    by_hand += 16 * 3 * 32 + 16 * 256  # the small branch's first and last
    for inputs, outputs in pairwise([32, 64, 128, 256]):
        by_hand += 16 * inputs * outputs + 2 * outputs
    for first in (512, 256):  # the two decoders
        for inputs, outputs in pairwise([first, 128, 64, 64, 32]):
            by_hand += 9 * inputs * 2 * outputs + 4 * outputs
        by_hand += 9 * 32 * 3
    with torch.device("meta"):
        network = build_discriminator("fastgan", {"spectral_norm": False}, resolution=256)
    assert count_parameters(network) == by_hand == 10_676_272


def test_a_gated_convolution_by_hand() -> None:
    layer = Gated(nn.Conv2d(1, 2, 1, bias=False), 1, 0, noise=False).eval()
    layer.convolution.weight.data = torch.tensor([3.0, 0.5])[:, None, None, None]
    layer.norm.eps = 0.0
    # Running statistics are 0 and 1: 3x * sigmoid(x / 2).
    given = layer(torch.tensor([[[[2.0]]]])).item()
    assert given == pytest.approx(6 * torch.tensor(1.0).sigmoid().item())


def test_excitation_scales_channels_between_0_and_1() -> None:
    torch.manual_seed(0)
    excitation = Excitation(3, 5)
    factor = excitation(10 * torch.randn(2, 3, 8, 8))
    assert factor.shape == (2, 5, 1, 1)
    assert 0 < factor.min() < factor.max() < 1
    last = excitation[3]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    assert excitation(torch.randn(2, 3, 8, 8)).eq(0.5).all()


def test_a_residual_halving_is_the_mean_of_its_ways() -> None:
    torch.manual_seed(0)
    halving = ResidualHalving(2, 3).eval()
    maps = torch.randn(1, 2, 8, 8)
    convolution = halving.direct[1]
    assert isinstance(convolution, nn.Conv2d)
    direct = nn.functional.conv2d(nn.functional.avg_pool2d(maps, 2), convolution.weight)
    direct = nn.functional.leaky_relu(direct / (1 + 1e-5) ** 0.5, 0.2)
    torch.testing.assert_close(2 * halving(maps) - halving.main(maps), direct)


def test_small_maps_excite_large_ones() -> None:
    # 4x4 maps gate those of 64x64, and with a pixel shuffle those of 32x32.
    assert list(generator(256).excite) == ["64", "128", "256"]
    assert list(generator(64).excite) == ["64"]
    assert list(generator(64, pixel_shuffle=True).excite) == ["32"]
    network = settled(generator(64), torch.randn(8, 8), unlabelled(8))
    latents = torch.randn(1, 8)
    gates: list[Tensor] = []
    network.excite["64"].register_forward_hook(lambda _, maps, gate: gates.append(gate))
    maps: list[Tensor] = []
    network.first.register_forward_hook(lambda _, given, made: maps.append(made))
    network(latents, unlabelled(1))
    torch.testing.assert_close(network.excite["64"](maps[0]), gates[0])


def test_a_seed_names_a_picture() -> None:
    network = generator(64, SIZES)
    for block in network.blocks.values():
        if block.second is not None:
            nn.init.ones_(block.first.noise)
    latents = torch.randn(5, 8)
    labels = torch.tensor([[0, 0], [1, 1], [2, -1], [-1, 0], [-1, -1]])
    with torch.no_grad():
        # Noise while training: no two passes are alike.
        assert not torch.equal(network(latents, labels), network(latents, labels))
        network.eval()
        together = network(latents, labels)
        alone = torch.cat([network(latents[k : k + 1], labels[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
    assert [name for name, block in network.blocks.items() if block.second] == ["8", "32"]


def test_noise_is_one_value_a_position() -> None:
    layer = Gated(nn.Identity(), 2, 0, noise=True)
    assert layer.noise is not None
    nn.init.ones_(layer.noise)
    layer.norm = nn.Identity()  # type: ignore[assignment]
    layer.gate = nn.Identity()  # type: ignore[assignment]
    torch.manual_seed(0)
    noise = layer(torch.zeros(50, 4, 8, 8))
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(noise, noise[:, :1].expand_as(noise))
    assert layer.eval()(torch.zeros(2, 4, 8, 8)).abs().max() == 0


def test_every_label_changes_the_picture_and_its_judgement() -> None:
    torch.manual_seed(1)
    labels = torch.tensor([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [-1, -1]])
    painter = generator(64, SIZES).eval()
    pictures = painter(torch.randn(1, 8).expand(6, -1), labels)
    judge = discriminator(64, SIZES).eval()
    for head in (judge.head, judge.small.head):  # which may begin at zero
        for rows in head.projection.embedding.fields:
            nn.init.normal_(rows)
    realness = judge(torch.rand(1, 3, 64, 64).expand(6, -1, -1, -1), labels).realness
    for said in (pictures.flatten(1), realness[:, :25], realness[:, 25:]):
        assert torch.pdist(said).min() > 1e-4
    # Every batch norm of the generator is told.
    norms = [module for module in painter.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 7
    assert all(isinstance(norm, ConditionalBatchNorm2d) and norm.gain for norm in norms)


def test_the_small_branch_sees_the_picture_pooled() -> None:
    network = discriminator(32).eval()
    images = torch.rand(1, 3, 16, 16).repeat_interleave(2, 2).repeat_interleave(2, 3)
    # The same pooled, but for a chequered pattern.
    pattern = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 16)
    plain, chequered = network(torch.cat([images, images + pattern]), unlabelled(2)).realness
    torch.testing.assert_close(plain[25:], chequered[25:], rtol=0, atol=1e-6)
    assert not torch.allclose(plain[:25], chequered[:25], rtol=0, atol=1e-6)


def test_quarters_by_hand() -> None:
    maps = torch.arange(16.0).view(1, 1, 4, 4).expand(4, 2, -1, -1)
    quarters = quarter(maps, torch.tensor([0, 1, 2, 3]))
    assert quarters.shape == (4, 2, 2, 2)
    assert quarters[:, 1].flatten(1).tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_what_is_to_be_painted_again() -> None:
    # Each quarter of the picture has a brightness of its own, so what is meant tells which it is.
    network = discriminator(32)
    corners = torch.tensor([[-1.0, -0.5], [0.5, 1.0]])
    images = corners.repeat_interleave(16, 0).repeat_interleave(16, 1).expand(40, 3, 32, 32)
    (_, whole), (_, part) = network(images, unlabelled(40)).reconstruct()
    expected = corners.repeat_interleave(8, 0).repeat_interleave(8, 1).expand(40, 3, 16, 16)
    assert torch.equal(whole, expected)
    assert part.flatten(1).std(dim=1).max() == 0
    assert set(part[:, 0, 0, 0].tolist()) == {-1.0, -0.5, 0.5, 1.0}


def test_a_part_is_painted_from_its_own_features() -> None:
    network = discriminator(32).eval()
    coarse, fine = torch.randn(1, 32, 8, 8), torch.randn(1, 16, 16, 16)
    images = torch.zeros(1, 3, 32, 32)
    torch.manual_seed(3)
    quarter = int(torch.randint(4, (1,)))
    for changed in range(4):
        other = fine.clone()
        down, right = 8 * (changed // 2), 8 * (changed % 2)
        other[:, :, down : down + 8, right : right + 8] = 1
        torch.manual_seed(3)
        before = network._reconstruct(images, coarse, fine)
        torch.manual_seed(3)
        after = network._reconstruct(images, coarse, other)
        assert torch.equal(before[0][0], after[0][0])
        assert torch.equal(before[1][0], after[1][0]) == (changed != quarter)


def test_painted_again_in_full_precision_after_mixed() -> None:
    network = discriminator(32)
    with torch.autocast("cpu", torch.bfloat16):
        judgement = network(torch.rand(2, 3, 32, 32), unlabelled(2))
    assert judgement.realness.dtype == torch.bfloat16
    assert {part.dtype for pair in judgement.reconstruct() for part in pair} == {torch.float32}


def test_layers_of_two_resolutions_fit_each_other() -> None:
    for build in (generator, discriminator):
        small, large = build(64, SIZES).state_dict(), build(128, SIZES).state_dict()
        shared = small.keys() & large.keys()
        assert all(small[name].shape == large[name].shape for name in shared)
        alone = {name.split(".weight")[0].split(".param")[0] for name in small.keys() - shared}
        assert all("from_picture" in n or "to_rgb" in n for n in alone), alone


@pytest.mark.parametrize("build", [generator, discriminator])
def test_spectral_norm_is_on_every_convolution_or_none(build: Any) -> None:
    def normed(network: nn.Module) -> set[bool]:
        return {
            parametrize.is_parametrized(module)
            for module in network.modules()
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        }

    assert normed(build(64, SIZES)) == {True}
    assert normed(build(64, SIZES, spectral_norm=False)) == {False}


def test_weights_begin_as_published() -> None:
    network = generator(64, width=16, spectral_norm=False)
    assert network.first.convolution.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.blocks["8"].first.norm.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert network.blocks["8"].first.noise.item() == 0


def test_the_blur_is_a_binomial_filter_and_lets_no_chessboard_pass() -> None:
    impulse = torch.zeros(1, 1, 7, 7)
    impulse[0, 0, 3, 3] = 16
    by_hand = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    torch.testing.assert_close(blurred(impulse)[0, 0, 2:5, 2:5], by_hand)
    assert blurred(impulse).sum() == 16
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert blurred(board[None, None])[0, 0, 1:-1, 1:-1].abs().max() == 0
    torch.testing.assert_close(
        blurred(torch.full((1, 3, 4, 4), 0.3)), torch.full((1, 3, 4, 4), 0.3)
    )
    latents, labels = torch.randn(2, 8), torch.zeros(2, 0, dtype=torch.int64)
    plain, filtered = (
        generator(64, pixel_shuffle=True, blur=blur).eval() for blur in (False, True)
    )
    filtered.load_state_dict(plain.state_dict())
    expected = torch.tanh(blurred(torch.atanh(plain(latents, labels).double())))
    torch.testing.assert_close(filtered(latents, labels).double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(), SIZES])
def test_self_modulation_tells_every_batch_norm_the_latent(sizes: tuple[int, ...]) -> None:
    network = generator(64, sizes, self_modulation=True).eval()
    latents, told = torch.randn(2, 8), []
    norms = [module for module in network.modules() if isinstance(module, ConditionalBatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(lambda _, inputs, __: told.append(inputs[1]))
    network(latents, torch.zeros(2, len(sizes), dtype=torch.int64))
    assert len(told) == len(norms) == 7
    for known in told:
        assert known.shape == (2, 8 + (6 if sizes else 0))
        torch.testing.assert_close(known[:, -8:], latents)
    # By hand: eight values for the gain and for the shift of each of a level's channels, twice over
    # for the gates: 64 at 4 pixels, twice 32 at 8, 16 at 16, twice 8 at 32, and 8.
    more = 2 * 8 * 2 * (64 + 2 * 32 + 16 + 2 * 8 + 8)
    assert count_parameters(network) == count_parameters(generator(64, sizes)) + more


@pytest.mark.parametrize("sizes", [(), SIZES])
def test_batch_norm_is_folded_only_where_no_label_changes_it(sizes: tuple[int, ...]) -> None:
    latents = torch.randn(4, 8)
    labels = torch.zeros(4, len(sizes), dtype=torch.int64)
    network = settled(generator(64, sizes, spectral_norm=False), latents, labels)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(latents, labels), network(latents, labels))
    left = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert bool(left) == bool(sizes)


def test_the_method_is_rehearsed() -> None:
    config = RunConfig(
        recipe="fastgan",
        resolution=32,
        latent=LatentConfig(dim=8),
        generator=NetworkConfig.model_validate({"network": "fastgan", "width": 4}),
        discriminator=NetworkConfig.model_validate({"network": "fastgan", "width": 4}),
        objective=(
            TermConfig.model_validate({"term": "hinge", "margin": (0.8, 1.0)}),
            TermConfig(term="self_supervised"),
        ),
        generator_optimiser=AdamConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
        discriminator_optimiser=AdamConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
        training=Training(batch=8, images=8),
    )
    rehearse(config, SIZES)


def test_other_resolutions_are_refused() -> None:
    for resolution in (8, 48, 2048):
        for build in (generator, discriminator):
            with pytest.raises(ImpastoError, match="network 'fastgan' makes pictures of 16, 32"):
                build(resolution)
