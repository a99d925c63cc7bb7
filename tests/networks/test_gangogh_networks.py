from typing import Any

import pytest
import torch

from impasto.networks import (
    Judgement,
    build_discriminator,
    build_generator,
    count_parameters,
    one_hot,
)

NARROW = {"width": 8}


def test_parameters_are_those_of_the_published_layers() -> None:
    # A linear layer from 128 values and 14 classes to 1024 maps of 4x4; 5x5 transposed convolutions
    # 512-512, 256-256, 128-128 (each to twice its level's channels) and 64-3, the last with a bias;
    # two values a batch norm channel; and the labels' gates, one value a class and position of
    # 1024x4x4, 512x8x8, 256x16x16 and 128x32x32, all but the first with biases.
    by_hand = (128 + 14 + 1) * 1024 * 4 * 4
    by_hand += 25 * (512 * 512 + 256 * 256 + 128 * 128 + 64 * 3) + 3
    by_hand += 2 * (1024 + 512 + 256 + 128)
    gates = 14 * 1024 * 4 * 4 + 15 * (512 * 8 * 8 + 256 * 16 * 16 + 128 * 32 * 32)
    assert gates == 3_670_016
    generator: Any = build_generator(
        "gangogh", {}, latent_dim=128, resolution=64, label_sizes=(14,)
    )
    assert count_parameters(generator) == by_hand + gates == 14_623_171
    assert count_parameters(generator.gates) == gates
    # 5x5 convolutions 3-64-128-256-512 with biases; a scale and a shift a channel of layer norm but
    # after the first; one value and 14 classes from the 512 maps of 4x4.
    by_hand = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + (64 + 128 + 256 + 512)
    by_hand += 2 * (128 + 256 + 512)
    by_hand += (512 * 4 * 4 + 1) * (1 + 14)
    critic = build_discriminator("gangogh", {}, resolution=64, label_sizes=(14,))
    assert count_parameters(critic) == by_hand == 4_431_247


def test_larger_pictures_have_no_wider_layers() -> None:
    generator: Any = build_generator("gangogh", {}, latent_dim=8, resolution=256)
    widths = [maps[-1].num_features // 2 for maps in generator.layers]
    assert widths == [512, 512, 512, 256, 128, 64]
    critic: Any = build_discriminator("gangogh", {}, resolution=256)
    norms = [m.num_channels for m in critic.layers if isinstance(m, torch.nn.GroupNorm)]
    assert norms == [128, 256, 512, 512, 512]
    small: Any = build_generator("gangogh", {}, latent_dim=8, resolution=16)
    assert [maps[-1].num_features // 2 for maps in small.layers] == [128, 64]


@pytest.mark.parametrize("resolution", [16, 64, 256])
@pytest.mark.parametrize("sizes", [(), (5,), (3, 2)])
def test_shapes_with_any_number_of_label_fields(resolution: int, sizes: tuple[int, ...]) -> None:
    generator: Any = build_generator(
        "gangogh", NARROW, latent_dim=6, resolution=resolution, label_sizes=sizes
    )
    critic = build_discriminator("gangogh", NARROW, resolution=resolution, label_sizes=sizes)
    labels = torch.tensor([[0, 1], [-1, 0], [-1, -1], [2, -1]])[:, : len(sizes)]
    generator.last[0].weight.data *= 100  # so that tanh has something to hold back
    images = generator(torch.randn(4, 6), labels)
    assert images.shape == (4, 3, resolution, resolution)
    assert images.isfinite().all()
    assert -1 <= images.min() < -0.9 < 0.9 < images.max() <= 1
    judgement: Judgement = critic(images, labels)
    assert judgement.realness.shape == (4, 1)
    assert judgement.features is None
    shapes = [tuple(logits.shape) for logits in judgement.class_logits or ()]
    assert shapes == [(4, size) for size in sizes]
    assert (judgement.class_logits is None) == (not sizes)


def test_weights_start_at_a_fiftieth() -> None:
    torch.manual_seed(0)
    generator: Any = build_generator("gangogh", {}, latent_dim=8, resolution=32, label_sizes=(4,))
    critic: Any = build_discriminator("gangogh", {}, resolution=32, label_sizes=(4,))
    for layer in (
        *(generator.layers[0][0], generator.layers[1][0], generator.gates[1].label),
        *(critic.layers[2], critic.realness, critic.classes.linear),
    ):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.bias is None or layer.bias.abs().max().item() == 0
    assert generator.layers[1][1].weight.eq(1).all()
    assert critic.layers[3].weight.eq(1).all()


def test_the_gate_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    generator: Any = build_generator(
        "gangogh", NARROW, latent_dim=6, resolution=16, label_sizes=(3, 2)
    )
    gate = generator.gates[1]
    maps, labels = torch.randn(2, 16, 8, 8), torch.tensor([[2, 1], [-1, 0]])
    said = one_hot(labels, (3, 2)) @ gate.label.weight.T + gate.label.bias
    said = said.view(2, 8, 8, 16)  # position by position
    for place in ((0, 0, 0, 0), (0, 7, 3, 5), (1, 4, 7, 1)):
        picture, channel, row, column = place
        a, b = maps[picture, channel, row, column], maps[picture, channel + 8, row, column]
        c, d = said[picture, row, column, channel], said[picture, row, column, channel + 8]
        by_hand = torch.sigmoid(a + c) * torch.tanh(b + d)
        assert gate(maps, one_hot(labels, (3, 2)))[place].item() == pytest.approx(by_hand.item())


def test_the_gate_is_per_position_up_to_a_size() -> None:
    options = {**NARROW, "condition_upto": 8}
    generator: Any = build_generator(
        "gangogh", options, latent_dim=6, resolution=64, label_sizes=(3,)
    )
    values = [gate.label.out_features for gate in generator.gates]
    assert values == [128 * 4 * 4, 64 * 8 * 8, 32, 16]
    images = generator(torch.randn(2, 6), torch.tensor([[0], [1]]))
    assert images.shape == (2, 3, 64, 64)
    # A value a channel: on blank maps a label paints all positions alike, elsewhere it does not.
    known = one_hot(torch.tensor([[1]]), (3,))
    above = generator.gates[2](torch.zeros(1, 32, 16, 16), known)
    below = generator.gates[1](torch.zeros(1, 64, 8, 8), known)
    assert above.flatten(2).std(dim=2).max() == 0
    assert below.flatten(2).std(dim=2).min() > 0


@pytest.mark.parametrize("field", [0, 1])
def test_each_label_field_changes_the_picture(field: int) -> None:
    torch.manual_seed(0)
    generator = build_generator(
        "gangogh", NARROW, latent_dim=6, resolution=32, label_sizes=(3, 2)
    ).eval()
    latents = torch.randn(1, 6).expand(3, 6)
    labels = torch.zeros(3, 2, dtype=torch.int64)
    labels[:, field] = torch.tensor([0, 1, -1])
    images = generator(latents, labels)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (images[one] - images[other]).abs().max() > 1e-4
    again = generator(latents[:1], labels[:1])
    assert torch.allclose(again[0], images[0], atol=1e-6)


def test_every_levels_projection_learns() -> None:
    torch.manual_seed(0)
    generator: Any = build_generator(
        "gangogh", NARROW, latent_dim=6, resolution=64, label_sizes=(3, 2)
    )
    labels = torch.tensor([[0, 1], [-1, 0], [0, -1], [0, 0]])
    generator(torch.randn(4, 6), labels).square().sum().backward()
    # The label is part of the latent too, behind its 6 values.
    first = generator.layers[0][0].weight.grad[:, 6:].abs().sum(dim=0)
    assert (first[[0, 3, 4]] > 0).all()
    assert first[[1, 2]].eq(0).all()
    assert len(generator.gates) == 4
    for gate in generator.gates:
        by_class = gate.label.weight.grad.abs().sum(dim=0)
        # Class 0 of the first field and both of the second were shown; classes 1 and 2 were not.
        assert (by_class[[0, 3, 4]] > 0).all()
        assert by_class[[1, 2]].eq(0).all()


def test_the_critic_judges_each_picture_by_itself() -> None:
    torch.manual_seed(0)
    critic = build_discriminator("gangogh", NARROW, resolution=32, label_sizes=(3,)).train()
    images, labels = torch.rand(6, 3, 32, 32) * 2 - 1, torch.zeros(6, 1, dtype=torch.int64)
    together = critic(images, labels)
    for n in range(6):
        alone = critic(images[n : n + 1], labels[:1])
        assert torch.allclose(alone.realness[0], together.realness[n], atol=1e-6)
        assert torch.allclose(alone.class_logits[0][0], together.class_logits[0][n], atol=1e-6)
    assert together.realness.std() > 1e-4


def test_the_critic_is_layer_normed() -> None:
    # After a layer norm over channels and positions each picture's maps have mean 0 and variance 1.
    torch.manual_seed(0)
    critic: Any = build_discriminator("gangogh", NARROW, resolution=32)
    critic.layers[2].bias.data = torch.linspace(-1, 1, 16)
    maps = critic.layers[:4](torch.randn(3, 3, 32, 32))
    assert maps.shape == (3, 16, 8, 8)
    assert torch.allclose(maps.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(maps.var(dim=(1, 2, 3), unbiased=False), torch.ones(3), atol=0.02)
    # Over all channels together, so that one can stand out, with a scale of its own.
    assert maps[:, :8].mean(dim=(1, 2, 3)).max() < -0.5
    assert critic.layers[3].weight.shape == (16,)


def test_the_critic_is_shown_no_label() -> None:
    critic = build_discriminator("gangogh", NARROW, resolution=16, label_sizes=(3,))
    images = torch.randn(2, 3, 16, 16)
    one, other = (critic(images, torch.full((2, 1), label)) for label in (0, 2))
    assert torch.equal(one.realness, other.realness)
    assert torch.equal(one.class_logits[0], other.class_logits[0])


def test_the_critics_gradient_penalty_reaches_its_weights() -> None:
    torch.manual_seed(0)
    critic: Any = build_discriminator("gangogh", NARROW, resolution=16)
    images = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    realness = critic(images, torch.zeros(4, 0, dtype=torch.int64)).realness
    (slope,) = torch.autograd.grad(realness.sum(), images, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    for layer in (critic.layers[0], critic.layers[2], critic.layers[3], critic.realness):
        assert layer.weight.grad.abs().max() > 0
