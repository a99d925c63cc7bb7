from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.networks import build_generator, count_parameters
from impasto.networks._layers import Doubling

BASE = {"network": "gangogh", "width": 4}
SIZES = (3, 2)


def stacked(resolution: int = 32, label_sizes: tuple[int, ...] = SIZES, **options: Any) -> Any:
    """A second stage above a first one, their batch norms knowing the statistics of some pictures."""
    torch.manual_seed(0)
    generator: Any = build_generator(
        "stacked",
        {"base": BASE, "base_resolution": 16, "width": 16, **options},
        latent_dim=6,
        resolution=resolution,
        label_sizes=label_sizes,
    )
    norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    latents = torch.randn(16, 6)
    labels = torch.stack([torch.arange(16) % size for size in (3, 2)], 1)[:, : len(label_sizes)]
    with torch.no_grad():
        generator.base.train()(latents, labels)
        generator.train()(latents, labels)
    for norm in norms:
        norm.momentum = 0.1
    return generator


def some(count: int = 4) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 6), torch.tensor([[0, 1], [-1, 0], [2, -1], [-1, -1]])[:count]


def test_parameters() -> None:
    # 3-64 by 3x3, 64-128-256 by 4x4; 14 classes to 128 values; 256 and 128 maps joined by 3x3 to
    # 256; two blocks of two 3x3 convolutions; 256-128-64-32-16-3 by 3x3, the last with a bias; two
    # values a batch norm channel. The first stage is frozen and does not count.
    by_hand = 9 * 3 * 64 + 16 * (64 * 128 + 128 * 256) + 15 * 128
    by_hand += 9 * ((256 + 128) * 256 + 2 * 2 * 256 * 256)
    by_hand += 9 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 16 + 16 * 3) + 3
    by_hand += 2 * (64 + 128 + 256 + 256 + 4 * 256 + 128 + 64 + 32 + 16)
    generator = build_generator(
        "stacked", {"base": BASE}, latent_dim=128, resolution=256, label_sizes=(14,)
    )
    assert count_parameters(generator) == by_hand == 4_299_091
    more = build_generator(
        "stacked", {"base": BASE, "blocks": 4}, latent_dim=128, resolution=256, label_sizes=(14,)
    )
    assert count_parameters(more) - by_hand == 2 * 2 * (9 * 256 * 256 + 2 * 256)


@pytest.mark.parametrize("resolution", [32, 64, 128])
@pytest.mark.parametrize("sizes", [(), (3,), SIZES])
@pytest.mark.parametrize("skip", [False, True])
def test_shapes(resolution: int, sizes: tuple[int, ...], skip: bool) -> None:
    latents, labels = some()
    small, large = stacked(resolution, sizes, skip=skip).stages(latents, labels[:, : len(sizes)])
    assert small.shape == (4, 3, 16, 16)
    assert large.shape == (4, 3, resolution, resolution)
    for images in (small, large):
        assert images.isfinite().all()
        assert -1 <= images.min() < images.max() <= 1


def test_the_last_stage_is_the_picture() -> None:
    generator = stacked().eval()
    latents, labels = some()
    small, large = generator.stages(latents, labels)
    assert torch.equal(generator(latents, labels), large)
    assert torch.equal(small, generator.base(latents, labels))


def test_the_first_stage_is_frozen() -> None:
    generator = stacked()
    before = {name: value.clone() for name, value in generator.base.state_dict().items()}
    assert any(name.endswith("running_mean") for name in before)
    generator.eval()
    generator.train()
    assert generator.training
    assert generator.look.training
    assert not any(module.training for module in generator.base.modules())
    latents, labels = some()
    small, large = generator.stages(latents, labels)
    assert not small.requires_grad  # in training no graph is made of it
    large.square().sum().backward()
    searched = latents.clone().requires_grad_()
    generator.stages(searched, labels)[1].square().sum().backward()
    assert searched.grad is not None  # where a latent is searched for a picture
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    torch.optim.SGD(trained, 0.1).step()
    assert all(parameter.grad is None for parameter in generator.base.parameters())
    after = generator.base.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_second_stage_learns() -> None:
    generator = stacked()
    mean = generator.look[0][1].running_mean.clone()
    large = generator(*some())
    assert not torch.equal(generator.look[0][1].running_mean, mean)
    large.backward(torch.randn_like(large))
    names = [name for name, p in generator.named_parameters() if p.requires_grad]
    assert names == [n for n, _ in generator.named_parameters() if not n.startswith("base.")]
    for name in names:
        assert generator.get_parameter(name).grad.abs().max() > 0, name


def test_a_checkpoint_holds_both_stages() -> None:
    generator = stacked().eval()
    other: Any = stacked()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    other.load_state_dict(generator.state_dict())
    latents, labels = some()
    assert torch.equal(other.eval()(latents, labels), generator(latents, labels))
    assert {name.partition(".")[0] for name in generator.state_dict()} == {
        *("base", "look", "label", "paint")
    }


@pytest.mark.parametrize("field", [0, 1])
def test_labels_reach_the_second_stage(field: int) -> None:
    generator = stacked().eval()
    sketch = torch.rand(1, 3, 16, 16).expand(3, 3, 16, 16) * 2 - 1
    labels = torch.zeros(3, 2, dtype=torch.int64)
    labels[:, field] = torch.tensor([0, 1, -1])
    large = generator.repaint(sketch, labels)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (large[one] - large[other]).abs().max() > 1e-3
    # And the picture it looks at matters too.
    assert not torch.allclose(generator.repaint(-sketch[:1], labels[:1]), large[:1])


@pytest.mark.parametrize("fields", [[1], [1, 0], []])
def test_the_first_stage_knows_some_fields(fields: list[int]) -> None:
    generator = stacked(base_fields=fields).eval()
    latents, labels = some()
    small, _ = generator.stages(latents, labels)
    assert generator.base.label_sizes == tuple(SIZES[field] for field in fields)
    assert torch.equal(small, generator.base(latents, labels[:, fields]))
    # A setting, not a weight: checkpoints hold what they held.
    assert not [name for name in generator.state_dict() if "fields" in name]


def test_skip_starts_from_the_enlarged_sketch() -> None:
    generator = stacked(64, skip=True).eval()
    torch.nn.init.zeros_(generator.paint[-1].weight)
    sketch, labels = torch.rand(4, 3, 16, 16) * 2 - 1, some()[1]
    enlarged = F.interpolate(sketch, size=64, mode="bilinear")
    assert torch.allclose(generator.repaint(sketch, labels), 0.95 * enlarged, atol=1e-6)
    # Black and white are no infinities.
    white = torch.ones(4, 3, 16, 16)
    assert generator.repaint(white, labels).sub(0.95).abs().max() < 1e-5
    # What the layers paint comes on top; and without the option it is all there is.
    torch.nn.init.ones_(generator.paint[-1].bias)
    by_hand = torch.tanh(1 + torch.atanh(torch.tensor(0.95)))
    assert generator.repaint(white, labels).sub(by_hand).abs().max() < 1e-5
    assert stacked(64).eval().repaint(sketch, labels).sub(enlarged).abs().max() > 0.1


def test_doubling_is_nearest_neighbours_and_a_convolution() -> None:
    torch.manual_seed(0)
    doubling, maps = Doubling(5, 3), torch.randn(2, 5, 6, 7)
    expected = F.conv2d(F.interpolate(maps, scale_factor=2), doubling.weight, padding=1)
    assert torch.allclose(doubling(maps), expected, atol=1e-6)


def test_folding_leaves_no_batch_norm_in_the_second_stage() -> None:
    generator = stacked(64, ()).double()
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 3)
            module.bias.data.normal_(0, 0.3)
    folded: Any = fold_batch_norm(generator.eval())
    left = [n for n, m in folded.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert left == ["base.layers.0.2"]  # after a linear layer
    latents, labels = torch.randn(4, 6, dtype=torch.float64), torch.zeros(4, 0, dtype=torch.int64)
    large = generator(latents, labels)
    assert large.std() > 0.01
    assert torch.allclose(large, folded(latents, labels), atol=1e-12)


def test_a_picture_is_the_same_at_any_batch_size() -> None:
    generator = stacked(64).eval()
    latents, labels = some()
    whole = generator(latents, labels)
    assert (whole[0] - whole[1]).abs().max() > 1e-3
    for n in range(4):
        alone = generator(latents[n : n + 1], labels[n : n + 1])
        assert torch.allclose(alone[0], whole[n], atol=1e-5)


def test_errors() -> None:
    def build(resolution: int = 32, sizes: tuple[int, ...] = (), **options: Any) -> None:
        build_generator("stacked", options, latent_dim=6, resolution=resolution, label_sizes=sizes)

    base = {"network": "dcgan"}
    for missing in ({}, {"base": None}, {"base": {"width": 4}}):
        with pytest.raises(ImpastoError, match="needs a first one: choose a recipe"):
            build(**missing)
    for resolution in (8, 16, 48, 100):
        with pytest.raises(
            ImpastoError, match=rf"32, 64, 128, \.\.\. pixels, not {resolution}; choo"
        ):
            build(resolution, base=base, base_resolution=16)
    with pytest.raises(ImpastoError, match=r"unknown setting 'generator.depth'; there is act"):
        build(base={**base, "depth": 3}, base_resolution=16)
    with pytest.raises(ImpastoError, match="unknown network 'biggan'"):
        build(base={"network": "biggan"}, base_resolution=16)
    with pytest.raises(ImpastoError, match="'dcgan' knows no classes"):
        build(sizes=(3,), base=base, base_resolution=16)
    for fields in ([2], [-1], [0, 5]):
        with pytest.raises(ImpastoError, match="but there are 2 label fields; set first_stage"):
            build(sizes=(3, 2), base=BASE, base_resolution=16, base_fields=fields)
