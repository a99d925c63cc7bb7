"""ArtGAN twice: as the report describes it (`artgan`), and its published code."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.networks import build_discriminator, build_generator, count_parameters

BOTH = ("artgan", "artgan_autoencoder")
NO_LABELS = torch.zeros(4, 0, dtype=torch.int64)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def generator(family: str, resolution: int, sizes: tuple[int, ...] = (), **options: Any) -> Any:
    return build_generator(
        family, options, latent_dim=100, resolution=resolution, label_sizes=sizes
    )


def discriminator(family: str, resolution: int, sizes: tuple[int, ...] = (), **options: Any) -> Any:
    return build_discriminator(family, options, resolution=resolution, label_sizes=sizes)


def pictures(count: int, resolution: int) -> Tensor:
    return torch.rand(count, 3, resolution, resolution) * 2 - 1


def moved(network: nn.Module) -> Any:
    """With batch norms unlike those of a fresh network, whose scale is 1 and shift is 0."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.01, 0.01)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.01, 0.1)  # type: ignore[arg-type]
    return network


# As the report describes it


def test_the_reports_parameters() -> None:
    # Latent 100 and 10 classes (CIFAR-10); kernels 4x4 but for one of 3x3 a player; two values a
    # batch norm channel: none after the last layer of the one and after the first of the other.
    by_hand = 16 * ((100 + 10) * 1024 + 1024 * 512)  # zNet
    by_hand += 9 * 512 * 256 + 16 * (256 * 128 + 128 * 64 + 64 * 3)  # decoder
    by_hand += 2 * (1024 + 512 + 256 + 128 + 64)
    assert count_parameters(generator("artgan", 64, (10,))) == by_hand == 12_032_896
    by_hand = 16 * (3 * 64 + 64 * 128 + 128 * 256) + 9 * 256 * 512  # encoder
    by_hand += 16 * 512 * 1024 + (1024 * 4 * 4 + 1) * 11  # classifier, K+1 outputs
    by_hand += 2 * (128 + 256 + 512 + 1024)
    assert count_parameters(discriminator("artgan", 64, (10,))) == by_hand == 10_410_763


def test_the_reports_layers() -> None:
    kinds = [type(module) for module in generator("artgan", 64, (10,)).modules()]
    assert kinds.count(nn.ConvTranspose2d) == 6
    assert kinds.count(nn.BatchNorm2d) == 5
    assert kinds.count(nn.ReLU) == 5
    kinds = [type(module) for module in discriminator("artgan", 64, (10,)).modules()]
    assert kinds.count(nn.Conv2d) == 5
    assert kinds.count(nn.BatchNorm2d) == 4
    assert kinds.count(nn.LeakyReLU) == 5
    assert kinds.count(nn.Linear) == 1


def test_deeper_networks_by_hand() -> None:
    # Each convolution but the generator's last is followed by two of 3x3 between equal maps, each
    # with a batch norm of two values a channel.
    more = sum(9 * c * c + 2 * c for c in (1024, 512, 256, 128, 64))
    deep, plain = (generator("artgan", 64, (10,), depth=depth) for depth in (3, 1))
    assert count_parameters(deep) == count_parameters(plain) + 2 * more
    assert [type(m) for m in deep.modules()].count(nn.ConvTranspose2d) == 6 + 2 * 5
    judge, shallow = (discriminator("artgan", 64, (10,), depth=depth) for depth in (3, 1))
    assert count_parameters(judge) == count_parameters(shallow) + 2 * more
    assert [type(m) for m in judge.modules()].count(nn.Conv2d) == 5 + 2 * 5
    for shallower, deeper in ((plain, deep), (shallow, judge)):
        assert set(shallower.state_dict()) < set(deeper.state_dict())


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_further_convolutions_that_change_nothing(resolution: int) -> None:
    """A deeper network computes what a shallower one does, if its further convolutions are the
    identity: they follow the activation, at the same size and number of channels."""
    options: dict[str, Any] = {"width": 4}
    pairs = [
        (
            make("artgan", resolution, (3,), depth=2, **options),
            make("artgan", resolution, (3,), **options),
        )
        for make in (generator, discriminator)
    ]
    for deep, plain in pairs:
        moved(plain).eval()
        deep.load_state_dict({**deep.state_dict(), **plain.state_dict()})
        names = set(plain.state_dict())
        for name, module in list(deep.eval().named_modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and f"{name}.weight" not in names:
                nn.init.dirac_(module.weight)
                block, place = name.rsplit(".", 1)
                # Batch norm of mean 0 and variance 1 changes nothing. ReLU after ReLU does not either,
                # but LeakyReLU would.
                deep.get_submodule(block)[int(place) + 1].eps = 0.0
                if isinstance(module, nn.Conv2d):
                    setattr(deep.get_submodule(block), str(int(place) + 2), nn.Identity())
    latents, labels = torch.randn(4, 100), torch.tensor([[0], [1], [2], [-1]])
    deep, plain = pairs[0]
    torch.testing.assert_close(deep(latents, labels), plain(latents, labels))
    images = pictures(4, resolution)
    deep, plain = pairs[1]
    after, before = deep(images, labels), plain(images, labels)
    torch.testing.assert_close(after.realness, before.realness)
    torch.testing.assert_close(after.features, before.features)
    torch.testing.assert_close(after.class_logits, before.class_logits)


def test_a_deeper_generator_decodes_a_deeper_discriminators_features() -> None:
    judge, painter = (
        make("artgan", 32, (3,), width=4, depth=2) for make in (discriminator, generator)
    )
    images = pictures(4, 32)
    judgement = judge(images, NO_LABELS)
    painted = painter.decode(judgement.features)
    assert painted.shape == images.shape
    (judgement.realness.sum() + painted.square().sum()).backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None, name
    decoder = dict(painter.decoder.named_parameters())
    assert all(parameter.grad is not None for parameter in decoder.values())


def test_features_are_those_of_the_report() -> None:
    images = pictures(2, 64)
    judge, painter = discriminator("artgan", 64, (10,)), generator("artgan", 64, (10,))
    judgement = judge(images, NO_LABELS)
    assert judgement.features.shape == (2, 512, 8, 8)
    assert painter.z_net(torch.randn(2, 110, 1, 1)).shape == (2, 512, 8, 8)
    assert painter.decode(judgement.features).shape == images.shape
    assert judge.classifier(judgement.features).shape == (2, 11)


@pytest.mark.parametrize(("resolution", "layers"), [(16, 1), (32, 1), (64, 2), (128, 3)])
def test_features_are_an_eighth_of_the_picture(resolution: int, layers: int) -> None:
    painter = generator("artgan", resolution, (3,), width=4)
    features = discriminator("artgan", resolution, (3,), width=4)(
        pictures(2, resolution), NO_LABELS
    ).features
    assert features.shape == (2, 32, resolution // 8, resolution // 8)
    assert painter.z_net(torch.randn(2, 103, 1, 1)).shape == features.shape
    assert len(painter.z_net) == layers
    assert painter.decode(features).shape == (2, 3, resolution, resolution)


def test_realness_is_minus_the_class_of_generated_pictures() -> None:
    judge = discriminator("artgan", 32, (3, 2), width=4).eval()
    images = pictures(2, 32)
    judgement = judge(images, NO_LABELS)
    outputs = judge.classifier(judgement.features)
    torch.testing.assert_close(judgement.class_logits[0], outputs[:, :3])
    torch.testing.assert_close(judgement.class_logits[1], outputs[:, 3:5])
    torch.testing.assert_close(judgement.realness.sigmoid(), 1 - outputs[:, 5:].sigmoid())


def test_reconstruction_reaches_encoder_and_decoder_alone() -> None:
    judge = discriminator("artgan", 32, (3,), width=4)
    painter = generator("artgan", 32, (3,), width=4)
    images = pictures(4, 32)
    painted = painter.decode(judge(images, NO_LABELS).features)
    (painted - images).square().sum().backward()
    for part in (judge.encoder, painter.decoder):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    for part in (judge.classifier, painter.z_net):
        for name, parameter in part.named_parameters():
            assert parameter.grad is None, name


def test_decoding_is_the_generators_own_and_leaves_its_statistics_alone() -> None:
    painter = moved(generator("artgan", 32, width=4)).train()
    features = torch.randn(4, 32, 4, 4)
    before = {name: value.clone() for name, value in painter.state_dict().items()}
    painted = painter.decode(features)
    for name, value in painter.state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.testing.assert_close(painted, painter.eval().decode(features))
    torch.testing.assert_close(painted, painter.train().decoder(features))
    changed = [n for n, value in painter.state_dict().items() if not torch.equal(value, before[n])]
    assert any("running_mean" in name for name in changed)  # the decoder itself does move them


# The published code


def test_the_published_parameters() -> None:
    # 27 styles, latent 100; 3x3 kernels without biases; two values a batch norm channel, and in the
    # generator's first layer two for each of 512 * 4 * 4 values.
    by_hand = (100 + 27) * 512 * 16 + 2 * 512 * 16
    by_hand += 9 * (512 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 64 + 64 * 32 + 32 * 3)
    by_hand += 2 * (512 + 256 + 128 + 64 + 64 + 32)
    painter = generator("artgan_autoencoder", 128, (27,))
    assert count_parameters(painter) == by_hand == 5_022_624
    judge = discriminator("artgan_autoencoder", 128, (27,), pool=2)
    decoder = 9 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 32 + 32 * 3)
    decoder += 2 * (512 + 256 + 128 + 64 + 32)
    assert count_parameters(judge.decoder) == decoder == 6_288_160
    by_hand = 9 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 512 + 512 * 1024)
    by_hand += 2 * (256 + 512 + 512 + 1024) + 1024 * 4 * 4 * 27
    assert count_parameters(judge) == by_hand + decoder == 15_291_040


@pytest.mark.parametrize(
    ("resolution", "pool", "first"),
    [(16, 1, 32), (64, 4, 32), (64, 1, 8), (128, 2, 8), (128, 1, 4)],
)
def test_pictures_are_painted_again_as_they_are_judged(
    resolution: int, pool: int, first: int
) -> None:
    judge = discriminator("artgan_autoencoder", resolution, (3,), width=8, pool=pool)
    judgement = judge(pictures(2, resolution), NO_LABELS)
    assert judgement.features.shape == (2, 64, 4, 4)
    assert judgement.reconstruction.shape == (2, 3, resolution // pool, resolution // pool)
    assert -1 <= judgement.reconstruction.min() <= judgement.reconstruction.max() <= 1
    assert judge.encoder[0].out_channels == first


def test_pooled_pictures_are_means_of_squares() -> None:
    small = pictures(2, 32)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    checks = torch.ones(64, 64)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    judge = discriminator("artgan_autoencoder", 64, (3,), width=8, pool=2).eval()
    plain = discriminator("artgan_autoencoder", 32, (3,), width=8).eval()
    plain.load_state_dict(judge.state_dict())
    expected = plain(small, NO_LABELS).realness
    torch.testing.assert_close(judge(large + 0.3 * checks, NO_LABELS).realness, expected)
    assert not torch.allclose(judge(large + 0.3, NO_LABELS).realness, expected)


def test_implicit_realness_by_hand() -> None:
    # Two fields, of 2 classes and of 1. First picture: all weights 0, so all logits are: Z = 3.
    # Second: features that are ones, and weights that make logits of them.
    judge = discriminator("artgan_autoencoder", 16, (2, 1), width=1).eval()
    ones = torch.ones(1, 8, 4, 4)
    judge.encoder = nn.Identity()
    judge.decoder = nn.Identity()
    judge.classes.weight.data = torch.tensor([0.5, -1.0, 2.0])[:, None].expand(3, 128) / 128
    judgement = judge(torch.cat([0 * ones, ones]), NO_LABELS)
    torch.testing.assert_close(judgement.class_logits[0], torch.tensor([[0, 0], [0.5, -1]]))
    torch.testing.assert_close(judgement.class_logits[1], torch.tensor([[0.0], [2.0]]))
    z = math.exp(0.5) + math.exp(-1) + math.exp(2)
    by_hand = torch.tensor([[math.log(3)], [math.log(z)]])
    torch.testing.assert_close(judgement.realness, by_hand)
    # As the paper writes it.
    torch.testing.assert_close(judgement.realness.sigmoid(), torch.tensor([[3 / 4], [z / (z + 1)]]))


def test_a_head_of_its_own() -> None:
    judge = discriminator("artgan_autoencoder", 16, (3,), width=4, realness="head").eval()
    judgement = judge(pictures(2, 16), NO_LABELS)
    values = judgement.features.flatten(1)
    torch.testing.assert_close(judgement.realness, values @ judge.head.weight.T)
    implicit = judgement.class_logits[0].logsumexp(1, keepdim=True)
    assert not torch.allclose(judgement.realness, implicit)
    assert discriminator("artgan_autoencoder", 16, (3,), width=4).head is None


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"noise": 0.05, "dropout": 0.0}, True),
        ({"noise": 0.0, "dropout": 0.2}, True),
        ({"noise": 0.0, "dropout": 0.0}, False),
    ],
)
def test_noise_and_dropout_in_training_only(options: dict[str, float], *, differs: bool) -> None:
    judge = discriminator("artgan_autoencoder", 32, (3,), width=4, **options)
    images = pictures(4, 32)
    first, second = (judge(images, NO_LABELS).realness for _ in range(2))
    assert torch.equal(first, second) != differs
    judge.eval()
    first, second = (judge(images, NO_LABELS).realness for _ in range(2))
    assert torch.equal(first, second)


def test_noise_has_the_deviation_asked_for() -> None:
    judge = discriminator("artgan_autoencoder", 64, (3,), width=2, noise=0.3)
    seen: list[Tensor] = []
    judge.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    judge(torch.full((8, 3, 64, 64), 0.5), NO_LABELS)
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.01)
    assert seen[0].std().item() == pytest.approx(0.3, rel=0.02)


def test_dropout_stands_before_all_halvings_but_the_first() -> None:
    judge = discriminator("artgan_autoencoder", 64, (3,), width=2, dropout=0.3)
    layers = list(judge.encoder)
    after = [layers[at + 1] for at, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert [(layer.in_channels, layer.stride) for layer in after] == [
        (2, (2, 2)),
        (4, (2, 2)),
        (8, (2, 2)),
    ]
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.3}


def test_dropout_spares_the_reports_encoder() -> None:
    judge = discriminator("artgan", 32, (3,), width=4, dropout=0.5)
    kinds = [type(module) for module in judge.classifier]
    assert kinds == [nn.Dropout, nn.Sequential, nn.Flatten, nn.Dropout, nn.Linear]
    assert [judge.classifier[at].p for at in (0, 3)] == [0.5, 0.5]
    images = pictures(4, 32)
    first, second = (judge(images, NO_LABELS) for _ in range(2))
    assert torch.equal(first.features, second.features)
    assert not torch.equal(first.realness, second.realness)
    judge.eval()
    first, second = (judge(images, NO_LABELS) for _ in range(2))
    assert torch.equal(first.realness, second.realness)


def test_the_decoder_learns_from_the_reconstruction_alone() -> None:
    judge = discriminator("artgan_autoencoder", 32, (3,), width=4)
    judgement = judge(pictures(4, 32), NO_LABELS)
    (judgement.realness.sum() + judgement.class_logits[0].square().sum()).backward()
    assert all(parameter.grad is None for parameter in judge.decoder.parameters())
    judge.zero_grad(set_to_none=True)
    judge(pictures(4, 32), NO_LABELS).reconstruction.square().sum().backward()
    for part in (judge.encoder, judge.decoder):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert judge.classes.weight.grad is None


def test_the_published_channels_at_other_resolutions() -> None:
    def widths(resolution: int) -> list[int]:
        layers = generator("artgan_autoencoder", resolution).layers
        return [layer.in_channels for layer in layers if isinstance(layer, nn.Conv2d)]

    assert widths(128) == [512, 512, 256, 128, 64, 64, 32]
    assert widths(64) == [512, 256, 128, 64, 64, 32]
    assert widths(16) == [128, 64, 64, 32]
    assert widths(256) == [512, 512, 512, 256, 128, 64, 64, 32]


# Both


@pytest.mark.parametrize(("family", "eps"), [("artgan", 1e-5), ("artgan_autoencoder", 1e-3)])
def test_constants_are_those_of_the_sources(family: str, eps: float) -> None:
    modules = [
        *generator(family, 32, (3,), width=4).modules(),
        *discriminator(family, 32, (3,), width=4).modules(),
    ]
    leaks = [module.negative_slope for module in modules if isinstance(module, nn.LeakyReLU)]
    assert set(leaks) == {0.2}
    norms = [module for module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(eps, 0.1)}


@pytest.mark.parametrize("family", BOTH)
def test_weights_start_as_published(family: str) -> None:
    for network in (generator(family, 64, (10,)), discriminator(family, 64, (10,))):
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.06), name
                assert module.weight.mean().item() == pytest.approx(0, abs=0.002), name
                assert module.bias is None or not module.bias.any(), name


@pytest.mark.parametrize("family", BOTH)
def test_labels_say_what_is_painted_and_unknown_ones_say_nothing(family: str) -> None:
    painter = moved(generator(family, 32, (3, 2), width=4)).eval()
    latents = torch.randn(1, 100).expand(5, 100)
    labels = torch.tensor([[0, 1], [1, 1], [0, 0], [0, -1], [-1, -1]])
    with torch.no_grad():
        painted = painter(latents, labels)
        for one in range(5):
            for other in range(one):
                assert not torch.allclose(painted[one], painted[other], atol=1e-4), (one, other)
        # A picture does not depend on the others of its batch.
        torch.testing.assert_close(painter(latents[:1], labels[3:4]), painted[3:4])
        # Unknown in both fields: the latent alone, the label's weights being of no account.
        first = painter.z_net[0][0] if family == "artgan" else painter.first[0]
        if family == "artgan":
            first.weight[100:] = 7
        else:
            first.weight[:, 100:] = 7
        again = painter(latents, labels)
        torch.testing.assert_close(again[4], painted[4])
        assert not torch.allclose(again[3], painted[3], atol=1e-4)


@pytest.mark.parametrize("family", BOTH)
def test_the_discriminator_is_shown_no_label(family: str) -> None:
    judge = discriminator(family, 16, (3, 2), width=4).eval()
    images = pictures(2, 16)
    known = judge(images, torch.tensor([[0, 1], [2, 0]]))
    unknown = judge(images, torch.tensor([[-1, -1], [-1, -1]]))
    assert torch.equal(known.realness, unknown.realness)
    assert [logits.shape for logits in known.class_logits] == [(2, 3), (2, 2)]
    assert known.realness.shape == (2, 1)


@pytest.mark.parametrize("family", BOTH)
def test_without_labels(family: str) -> None:
    judgement = discriminator(family, 16, width=4)(pictures(4, 16), NO_LABELS)
    assert judgement.realness.shape == (4, 1)
    assert judgement.class_logits is None
    images = generator(family, 16, width=4)(torch.randn(4, 100), NO_LABELS)
    assert images.shape == (4, 3, 16, 16)


@pytest.mark.parametrize("family", BOTH)
def test_batch_norm_after_convolutions_folds(family: str) -> None:
    painter = moved(generator(family, 32, (3,), width=4)).eval()
    folded = fold_batch_norm(painter)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    latents, labels = torch.randn(2, 100), torch.tensor([[0], [2]])
    torch.testing.assert_close(
        folded(latents, labels), painter(latents, labels), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("family", BOTH)
@pytest.mark.parametrize("resolution", [8, 24, 100])
def test_impossible_resolutions(family: str, resolution: int) -> None:
    for build in (generator, discriminator):
        with pytest.raises(ImpastoError, match=f"16, 32, 64, ... pixels, not {resolution}; choose"):
            build(family, resolution)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": 3}, "cannot pool pictures of 64 pixels by 3; set discriminator.pool to 1, 2, 4$"),
        ({"pool": 8}, "cannot pool pictures of 64 pixels by 8; set discriminator.pool to 1, 2, 4$"),
        ({"pool": 0}, "'discriminator.pool' cannot be 0"),
        ({"noise": -0.1}, "'discriminator.noise' cannot be -0.1"),
        ({"noise": math.nan}, "'discriminator.noise' cannot be nan"),
        ({"dropout": 1.0}, "'discriminator.dropout' cannot be 1.0"),
        ({"realness": "explicit"}, "'discriminator.realness' cannot be 'explicit'"),
        ({"width": 0}, "'discriminator.width' cannot be 0"),
    ],
)
def test_impossible_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpastoError, match=message):
        discriminator("artgan_autoencoder", 64, (3,), **options)


def test_impossible_settings_of_the_reports_pair() -> None:
    with pytest.raises(ImpastoError, match=r"'discriminator.dropout' cannot be 1.0"):
        discriminator("artgan", 64, (3,), dropout=1.0)
    with pytest.raises(ImpastoError, match=r"'generator.dropout'; there is depth, width"):
        generator("artgan", 64, (3,), dropout=0.5)
