"""The flow family: its samplers against a flow that is known exactly, its gradients against finite
differences, guidance, and what a seed gives."""

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.config import LatentConfig
from impasto.errors import ImpastoError
from impasto.networks import build_generator, count_parameters
from impasto.networks._ode import Method, even_times, integrate, karras_times
from impasto.networks._transformer import Transformer
from impasto.networks._unet import UNet
from impasto.networks.flow import SIGMA_DATA, latent_dim
from impasto.sampling import Sampler

BODIES = ("unet", "transformer")
LABELS = torch.tensor([[0, 1], [-1, 0], [2, -1], [1, 1], [-1, -1]])


def generator(resolution: int = 16, sizes: tuple[int, ...] = (3, 2), **options: Any) -> Any:
    """A generator with random weights everywhere: fresh ones predict nothing."""
    torch.manual_seed(0)
    built = build_generator(
        "flow",
        {"steps": 3, **options},
        latent_dim=latent_dim(resolution),
        resolution=resolution,
        label_sizes=sizes,
    )
    return filled(built)


def filled(network: nn.Module) -> nn.Module:
    """The network with random values in the layers that begin as zero."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, 0.0, 0.05)
    return network.eval()


MEAN, DEVIATION = 0.3, 0.5


def of_a_gaussian(noisy: Tensor, time: float) -> Tensor:
    """The mean of x ~ N(MEAN, DEVIATION^2) given t x + (1 - t) e, by the rule of two Gaussians."""
    variance = (DEVIATION * time) ** 2 + (1 - time) ** 2
    return MEAN + DEVIATION**2 * time / variance * (noisy - time * MEAN)


def end_of(noise: Tensor, start: float) -> Tensor:
    """Where the flow of that Gaussian leads to from (1 - t) e at time t: the number of standard
    deviations from the mean never changes."""
    deviation = math.sqrt((DEVIATION * start) ** 2 + (1 - start) ** 2)
    return MEAN + DEVIATION * ((1 - start) * noise - start * MEAN) / deviation


@pytest.mark.parametrize("times", [even_times, karras_times])
@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_samplers_reach_the_exact_end_of_a_gaussians_flow(
    times: Any, method: Method, order: int
) -> None:
    noise = torch.linspace(-3, 3, 13, dtype=torch.float64).reshape(1, 1, 1, 13)
    errors = []
    for steps in (16, 32, 64, 128):
        grid = times(steps)
        assert len(grid) == steps + 1
        assert all(a < b for a, b in itertools.pairwise(grid))
        assert grid[-1] == 1
        found = integrate(of_a_gaussian, noise, grid, method)
        errors.append((found - end_of(noise, grid[0])).abs().max().item())
    assert errors[-1] < (5e-2 if order == 1 else 5e-4)
    # Twice the steps: half the error for the first order, a quarter for the second.
    for error, smaller in itertools.pairwise(errors):
        assert math.log2(error / smaller) == pytest.approx(order, abs=0.25)


def test_steps_of_time_err_less_than_edms_steps_of_the_noise_level() -> None:
    noise = torch.linspace(-3, 3, 13, dtype=torch.float64)
    times = karras_times(32)
    levels = [1 / time - 1 for time in times]
    noisy = levels[0] * noise  # x + sigma n in the paper's algorithm 1

    def slope(noisy: Tensor, sigma: float) -> Tensor:
        variance = DEVIATION**2 + sigma**2
        return (noisy - MEAN - DEVIATION**2 / variance * (noisy - MEAN)) / sigma

    for sigma, following in itertools.pairwise(levels):
        step, first = following - sigma, slope(noisy, sigma)
        after = noisy + step * first
        if following > 0:
            after = noisy + step * (first + slope(after, following)) / 2
        noisy = after
    exact = end_of(noise, times[0])
    theirs = (noisy - exact).abs().max()
    ours = (integrate(of_a_gaussian, noise, times, "heun") - exact).abs().max()
    assert 0.01 < theirs < 0.05
    assert ours < theirs / 3


def test_the_noise_levels_are_those_of_edm() -> None:
    levels = [(1 - time) / time for time in karras_times(3)[:-1]]
    middle = (0.5 * 80 ** (1 / 7) + 0.5 * 0.002 ** (1 / 7)) ** 7
    assert levels == pytest.approx([80, middle, 0.002])
    assert even_times(4) == [0, 0.25, 0.5, 0.75, 1]


def test_one_step_is_the_denoised_noise() -> None:
    painter = generator(steps=1)
    latents = torch.randn(5, latent_dim(16))
    noise = latents.reshape(5, 3, 16, 16)
    expected = painter.denoise(noise, torch.zeros(5), LABELS).clamp(-1, 1)
    torch.testing.assert_close(painter(latents, LABELS), expected)


@pytest.mark.parametrize("body", BODIES)
def test_gradients_against_finite_differences(body: str) -> None:
    torch.manual_seed(0)
    if body == "unet":
        network: nn.Module = UNet(
            channels=1, resolution=4, embedding=3, patch=1, widths=(8, 16), blocks=1, dropout=0.0
        )
    else:
        network = Transformer(
            channels=1, resolution=4, embedding=3, patch=2, width=64, depth=1, dropout=0.0
        )
    network = filled(network).double()
    maps = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    inputs = (maps, embedding)
    assert torch.autograd.gradcheck(network, inputs, fast_mode=True)
    # The weights, along a random direction in all of them.
    weights = list(network.parameters())
    directions = [torch.randn_like(weight) for weight in weights]
    output = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    gradients = torch.autograd.grad((network(*inputs) * output).sum(), weights)
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))

    @torch.no_grad()
    def moved(far: float) -> Tensor:
        for weight, direction in zip(weights, directions, strict=True):
            weight.add_(direction, alpha=far)
        return (network(*inputs) * output).sum()

    step = 1e-5
    assert isinstance(slope, Tensor)
    torch.testing.assert_close(
        (moved(step) - moved(-2 * step)) / (2 * step), slope, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_pictures_keep_the_contract(body: str, resolution: int) -> None:
    painter = generator(resolution, body=body)
    with torch.no_grad():
        images = painter(torch.randn(5, latent_dim(resolution)), LABELS)
    assert images.shape == (5, 3, resolution, resolution)
    assert -1 <= images.min() <= images.max() <= 1
    assert torch.pdist(images.flatten(1)).min() > 0.1


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("preconditioning", ["x", "mixed", "edm"])
def test_every_weight_is_trained(body: str, preconditioning: str) -> None:
    painter = generator(body=body, preconditioning=preconditioning)
    noisy, time = torch.randn(5, 3, 16, 16), torch.linspace(0, 1, 5)
    painter.denoise(noisy, time, LABELS, torch.randn(5, 9)).square().mean().backward()
    for name, parameter in painter.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_pictures_can_be_trained_through() -> None:
    painter = generator(steps=2)
    painter(torch.randn(5, latent_dim(16)), LABELS).square().mean().backward()
    assert painter.body.first.weight.grad.any()


@pytest.mark.parametrize("body", BODIES)
def test_one_seed_one_picture_at_any_batch_size(body: str) -> None:
    sampler = Sampler(
        generator(body=body), LatentConfig(dim=latent_dim(16)), torch.device("cpu"), label_fields=2
    )
    alone, together = (
        [picture for batch in sampler.batches(range(5), LABELS, batch=size) for picture in batch]
        for size in (1, 5)
    )
    for one, other in zip(alone, together, strict=True):
        assert abs(one.astype(int) - other).max() <= 1


def test_edm_preconditioning_is_the_papers() -> None:
    painter = generator(preconditioning="edm")
    sigma = torch.tensor([80.0, 3.0, 0.5, 0.1, 0.002])[:, None, None, None]
    picture_and_noise = torch.randn(5, 3, 16, 16) * sigma  # the paper's x + sigma n
    time = 1 / (1 + sigma)
    # Karras et al. 2022, table 1, last column.
    whole = (sigma**2 + SIGMA_DATA**2).sqrt()
    skip, out = SIGMA_DATA**2 / whole**2, sigma * SIGMA_DATA / whole
    embedding = painter.condition(sigma.flatten().log() / 4, LABELS, None)
    expected = skip * picture_and_noise + out * painter.body(picture_and_noise / whole, embedding)
    found = painter.denoise(picture_and_noise * time, time.flatten(), LABELS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    # At both ends it is finite.
    ends = painter.denoise(torch.randn(2, 3, 16, 16), torch.tensor([0.0, 1.0]), LABELS[:2])
    assert ends.isfinite().all()


def test_mixed_preconditioning_ends_at_the_noisy_picture() -> None:
    plain, mixed = (generator(preconditioning=each) for each in ("x", "mixed"))
    noisy, time = torch.randn(5, 3, 16, 16), torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0])
    share = torch.tensor([0.0, 1 / 256, 1 / 16, 0.6561, 1.0])[:, None, None, None]
    expected = (1 - share) * plain.denoise(noisy, time, LABELS) + share * noisy
    torch.testing.assert_close(mixed.denoise(noisy, time, LABELS), expected)


def test_guidance_moves_away_from_the_picture_without_labels() -> None:
    plain = generator(steps=2)
    same, strong, half = (
        generator(steps=2, guidance=guidance, guidance_times=(first, 1.0))
        for guidance, first in ((1.0, 0.0), (3.0, 0.0), (3.0, 0.5))
    )
    latents = torch.randn(5, latent_dim(16))
    pictures = [each(latents, LABELS) for each in (plain, same, strong, half)]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0][0], pictures[2][0])
    assert not torch.equal(pictures[2][0], pictures[3][0])
    # Nothing is known of the last one, so there is nothing that it could be more like.
    torch.testing.assert_close(pictures[0][4], pictures[2][4])
    noisy = latents.reshape(5, 3, 16, 16)
    time = torch.zeros(5)
    with_labels = plain.denoise(noisy, time, LABELS)
    without = plain.denoise(noisy, time, torch.full_like(LABELS, -1))
    torch.testing.assert_close(
        strong._guided(noisy, time, LABELS, 3.0), without + 3 * (with_labels - without)
    )


def test_autoguidance_moves_away_from_a_guide() -> None:
    painter = generator(guidance=2.0, guidance_times=(0.0, 1.0))
    latents = torch.randn(5, latent_dim(16))
    before = painter(latents, LABELS)
    names = set(painter.state_dict())
    guide = copy.deepcopy(painter)
    painter.guided_by(guide)
    # A guide that is no worse changes nothing, whatever the labels.
    painter.guidance = 1.0
    plain = painter(latents, LABELS)
    painter.guidance = 2.0
    torch.testing.assert_close(painter(latents, LABELS), plain)
    nn.init.normal_(guide.body.first.weight)
    assert not torch.equal(painter(latents, LABELS), before)
    assert not torch.equal(painter(latents, LABELS), plain)
    assert set(painter.state_dict()) == names
    painter.double()
    assert guide.body.first.weight.dtype == torch.float64


def test_guidance_without_labels_needs_a_guide() -> None:
    plain, guided = (generator(sizes=(), guidance=each) for each in (1.0, 3.0))
    latents, none = torch.randn(2, latent_dim(16)), torch.zeros(2, 0, dtype=torch.int64)
    assert torch.equal(plain(latents, none), guided(latents, none))


def test_a_pass_is_computed_only_where_it_counts() -> None:
    for options, passes in (
        ({"sampler": "euler"}, 4),
        ({"sampler": "heun"}, 7),  # the last step is Euler's
        ({"sampler": "euler", "guidance": 2.0, "guidance_times": (0.5, 1.0)}, 6),
    ):
        painter = generator(steps=4, **options)
        calls: list[int] = []
        painter.body.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        painter(torch.randn(1, latent_dim(16)), LABELS[:1])
        assert len(calls) == passes


def test_unknown_labels_and_no_augmentation_contribute_nothing() -> None:
    condition = generator().condition
    noise, unknown = torch.rand(5), torch.full_like(LABELS, -1)
    nothing = condition(noise, unknown, None)
    torch.testing.assert_close(condition(noise, unknown, torch.zeros(5, 9)), nothing)
    assert not torch.allclose(condition(noise, LABELS, None)[0], nothing[0])
    assert not torch.allclose(condition(noise, unknown, torch.ones(5, 9)), nothing)
    # One known field of two is another thing than both and than none.
    some = condition(noise[:1].expand(3), torch.tensor([[1, 1], [1, -1], [-1, 1]]), None)
    assert torch.pdist(some).min() > 1e-3


def by_hand(widths: tuple[int, ...], embedding: int, patch: int, classes: int) -> int:
    """Weights of a U-Net with two blocks a level, and of its condition."""

    def block(inputs: int, outputs: int) -> int:
        convolutions = 9 * inputs * outputs + outputs + 9 * outputs**2 + outputs
        skip = 0 if inputs == outputs else inputs * outputs + outputs
        return convolutions + (embedding + 1) * 2 * outputs + skip

    pixels = 3 * patch**2
    total = sum(2 * block(w, w) + 2 * block(2 * w, w) for w in widths)
    total += sum(4 * a * b + b + 4 * a * b + a for a, b in itertools.pairwise(widths))
    total += 4 * widths[-1] ** 2 + 4 * widths[-1]  # attention
    total += 9 * pixels * widths[0] + widths[0] + 9 * pixels * widths[0] + pixels
    return total + embedding * (32 + 1 + classes + 9 + embedding + 1)


def test_sizes() -> None:
    with torch.device("meta"):
        sizes = {
            (body, size): build_generator(
                "flow",
                {"body": body, "size": size},
                latent_dim=latent_dim(64),
                resolution=64,
                label_sizes=(26,),
            )
            for body in BODIES
            for size in ("small", "medium", "large")
        }
    millions = {name: round(count_parameters(each) / 1e6, 1) for name, each in sizes.items()}
    assert millions == {
        ("unet", "small"): 2.4,
        ("unet", "medium"): 6.5,
        ("unet", "large"): 39.0,
        ("transformer", "small"): 5.5,
        ("transformer", "medium"): 15.3,
        ("transformer", "large"): 57.7,
    }
    small, medium = sizes["unet", "small"], sizes["unet", "medium"]
    assert count_parameters(small) == by_hand((32, 64, 128), 128, 2, 26)
    assert count_parameters(medium) == by_hand((64, 128, 192), 192, 4, 26)
    width, between, pixels = 192, 512, 3 * 8**2
    block = (width + 1) * (6 * width + 3 * width + width + 2 * between) + (between + 1) * width
    transformer = 8 * block + 64 * width + (width + 1) * 2 * width
    transformer += (pixels + 1) * width + (width + 1) * pixels
    condition = width * (32 + 1 + 26 + 9 + width + 1)
    assert count_parameters(sizes["transformer", "small"]) == transformer + condition


def test_what_it_cannot_be() -> None:
    with pytest.raises(
        ImpastoError, match="noise of 768 values into pictures of 16 pixels, not 10"
    ):
        build_generator("flow", {}, latent_dim=10, resolution=16)
    for body, unit in (("unet", 8), ("transformer", 7)):
        options = {"body": body, **({"patch": 7} if body == "transformer" else {})}
        with pytest.raises(ImpastoError, match=f"{unit}, {2 * unit}, .* pixels, not 20"):
            build_generator("flow", options, latent_dim=latent_dim(20), resolution=20)
    with pytest.raises(ImpastoError, match=r"'generator.guidance' cannot be -1"):
        generator(guidance=-1)


def test_fewer_blocks() -> None:
    sizes = {blocks: count_parameters(generator(blocks=blocks)) for blocks in (1, 2, None)}
    # One block less in each half of three levels of 32, 64 and 128 channels.
    block = sum(
        9 * k * w * w + w + 9 * w * w + w + 129 * 2 * w + (2 * w * w + w) * (k == 2)
        for w in (32, 64, 128)
        for k in (1, 2)
    )
    assert sizes[None] == sizes[2] == sizes[1] + block
    with pytest.raises(ImpastoError, match=r"generator.blocks is about body unet"):
        generator(body="transformer", blocks=2)
