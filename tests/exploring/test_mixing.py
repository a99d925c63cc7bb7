"""Mixing levels of two pictures, and variations of one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import ImpastoError
from impasto.exploring.mixing import mix_of, variations_of
from impasto.networks import build_generator
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import invoke


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("mix") / "model", "self-modulated")


@pytest.fixture(scope="module")
def painter(model: Path) -> Painter:
    return Painter.load(model, batch=5)


def points(painter: Painter, *seeds: int) -> Points:
    return painter.points(seeds, painter.labels(seeds, {}))


def painted(painter: Painter, what: Points) -> np.ndarray:
    return np.concatenate(list(painter.paint_points(what)))


@pytest.mark.parametrize("sizes", [(), (3, 2)])
@torch.no_grad()
def test_one_latent_at_all_levels_is_that_latent(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    generator = build_generator(
        "fastgan",
        {"width": 4, "embedding": 6, "self_modulation": True},
        latent_dim=8,
        resolution=64,
        label_sizes=sizes,
    ).eval()
    for parameter in generator.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.2)
    latents, labels = torch.randn(2, 8), torch.zeros(2, len(sizes), dtype=torch.int64)
    # The first layer, and the blocks of 8, 16, 32 and 64 pixels.
    assert generator.levels == 5
    each = latents[:, None].repeat(1, 5, 1)
    images = generator(latents, labels)
    assert torch.equal(generator(each, labels), images)
    for level in range(5):
        other = each.clone()
        other[:, level] = -other[:, level]
        assert not torch.allclose(generator(other, labels), images, atol=1e-3), level


@torch.no_grad()
def test_a_level_is_a_block_of_its_own() -> None:
    """What a level's latent changes: nothing before its block, and its block's maps."""
    torch.manual_seed(0)
    generator = build_generator(
        "fastgan", {"width": 4, "self_modulation": True}, latent_dim=8, resolution=32
    ).eval()
    seen: dict[str, torch.Tensor] = {}
    layers = {"4": generator.first, **dict(generator.blocks.items())}  # type: ignore[operator,union-attr]
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda module, inputs, maps, name=name: seen.update({name: maps.clone()})
        )
    labels = torch.zeros(1, 0, dtype=torch.int64)
    latents = torch.randn(1, 4, 8)
    generator(latents, labels)
    before = dict(seen)
    for level, name in enumerate(layers):
        changed = latents.clone()
        changed[:, level] += 1
        generator(changed, labels)
        same = [each for each in layers if torch.equal(seen[each], before[each])]
        assert same == list(layers)[:level]
        assert seen[name].shape[-1] == generator.level_sides[level]  # type: ignore[index]
        assert name not in same


def test_mixes_with_themselves_are_themselves(painter: Painter) -> None:
    some = points(painter, 3, 4)
    mix = mix_of(painter, some, some, 2)
    own = painted(painter, some)
    images = mix.images(painter)
    assert images.shape == (2, 2, 32, 32, 3)
    for number in range(2):
        assert np.abs(images[number, number].astype(int) - own[number]).max() <= 1
    assert not np.array_equal(images[0, 1], own[0])
    assert not np.array_equal(images[0, 1], own[1])


def test_levels_and_classes_of_a_mix(painter: Painter) -> None:
    coarse, fine = points(painter, 1, 2), points(painter, 3, 4, 5)
    mix = mix_of(painter, coarse, fine, 1)
    assert mix.levels == 4
    assert mix.mixed.latents.shape == (6, 4, 16)
    for place, (row, column) in enumerate((r, c) for r in range(2) for c in range(3)):
        levels = mix.mixed.latents[place]
        assert torch.equal(levels[0], coarse.latents[row])
        assert all(torch.equal(level, fine.latents[column]) for level in levels[1:])
        assert torch.equal(mix.mixed.classes[place], coarse.classes[row])
    assert mix_of(painter, coarse, fine).at == 2
    for at, side in ((1, 8), (2, 16), (3, 32)):
        by_side = mix_of(painter, coarse, fine, side)
        assert by_side.at == at
        assert torch.equal(by_side.mixed.latents, mix_of(painter, coarse, fine, at).mixed.latents)
    for at in (0, 4, 64):
        message = f"is 1 to 3, or the side of its maps, 8, 16, 32, not {at}"
        with pytest.raises(ImpastoError, match=message):
            mix_of(painter, coarse, fine, at)


def test_the_grid_and_its_points(model: Path, painter: Painter, tmp_path: Path) -> None:
    grid, kept = tmp_path / "mix.png", tmp_path / "mix.safetensors"
    words = ["--coarse", "1,2", "--fine", "3-5", "--at", 1, "--grid", grid, "--save-points", kept]
    code, text = invoke("mix", model, *words)
    assert code == 0, text
    assert "6 pictures in" in text
    picture = np.asarray(Image.open(grid))[-96:, -128:]
    cells = picture.reshape(3, 32, 4, 32, 3).swapaxes(1, 2)
    assert (cells[0, 0] == 255).all()

    def close(some: np.ndarray, other: np.ndarray) -> bool:
        return int(np.abs(some.astype(int) - other).max()) <= 1

    assert close(cells[0, 1:], painted(painter, points(painter, 3, 4, 5)))
    assert close(cells[1:, 0], painted(painter, points(painter, 1, 2)))
    mixes = impasto.mix(model, [1, 2], [3, 4, 5], 1, device="cpu")
    assert close(cells[1:, 1:], mixes)
    code, text = invoke("sample", model, "--points", kept, "--out", tmp_path / "a")
    assert code == 0, text
    again = np.asarray(Image.open(tmp_path / "a" / "point-0004.png"))
    assert close(again, mixes[1, 1])
    # A picture of a mix carries its levels, and mixes can be walked through.
    code, text = invoke(
        "sample", model, "--like", tmp_path / "a" / "point-0004.png", "--out", tmp_path / "b"
    )
    assert code == 0, text
    assert close(np.asarray(Image.open(tmp_path / "b" / "point-0000.png")), mixes[1, 1])
    more = ["--seconds", 0.3, "--fps", 10, "--out", tmp_path / "c"]
    code, text = invoke("walk", model, "--points", kept, *more)
    assert code == 0, text
    first = np.asarray(Image.open(tmp_path / "c" / "frame-000000.png"))
    assert close(first, mixes[0, 0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "self-modulated"])
def test_models_without_levels_are_refused(kind: str, model: Path, tmp_path: Path) -> None:
    other = random_model(tmp_path / "model", kind)
    code, text = invoke("mix", other, "--grid", tmp_path / "mix.png")
    assert code == 2
    assert "takes its latent in one place, so there are no levels to mix" in text
    assert not (tmp_path / "mix.png").exists()
    painter = Painter.load(other)
    some = points(painter, 1)
    with pytest.raises(
        ImpastoError, match="3 latents, one for each level; this generator takes one"
    ):
        painter.paint_points(some.changed(latents=some.latents[:, None].repeat(1, 3, 1)))


def test_points_of_another_number_of_levels_are_refused(painter: Painter) -> None:
    some = points(painter, 1)
    with pytest.raises(ImpastoError, match="3 latents, one for each level; this generator takes 4"):
        painter.paint_points(some.changed(latents=some.latents[:, None].repeat(1, 3, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_variations(kind: str, tmp_path: Path) -> None:
    model = random_model(tmp_path / "model", kind)
    painter = Painter.load(model)
    seeds = [1, 2, 3]
    centre = points(painter, 17)
    found = {spread: variations_of(painter, centre, seeds, spread) for spread in (0.1, 0.4, 1.0)}
    assert torch.equal(found[1.0].latents, painter.latents(seeds))
    assert torch.equal(found[0.4].classes, centre.classes.expand(3, -1))
    away = [(each.latents - centre.latents).norm(dim=1) for each in found.values()]
    assert (away[0] < away[1]).all()
    assert (away[1] < away[2]).all()
    if kind != "dcgan":  # whose latents are uniform
        norms = centre.latents.norm().expand(3)
        ends = painter.latents(seeds).norm(dim=1)
        assert torch.allclose(found[0.4].latents.norm(dim=1), 0.6 * norms + 0.4 * ends, rtol=1e-5)
    words = ["--variations", 17, "--spread", 0.4, "--seeds", "1-3", "--out", tmp_path / "a"]
    code, text = invoke("sample", model, *words)
    assert code == 0, text
    own = painted(painter, found[0.4])
    names = [f"variation-seed-{seed:08d}.png" for seed in seeds]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name, image in zip(names, own, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a" / name)), image)


def test_variations_of_a_file_and_what_is_refused(model: Path, tmp_path: Path) -> None:
    code, text = invoke("sample", model, "--seeds", 17, "--out", tmp_path / "a")
    assert code == 0, text
    file = tmp_path / "a" / "seed-00000017.png"
    for name, what in (("b", 17), ("c", file)):
        words = ["--variations", what, "--seeds", "1,2", "--out", tmp_path / name]
        code, text = invoke("sample", model, *words)
        assert code == 0, text
    for name in ("variation-seed-00000001.png", "variation-seed-00000002.png"):
        one, other = (np.asarray(Image.open(tmp_path / each / name)) for each in "bc")
        assert np.array_equal(one, other)
    refused: list[tuple[list[object], str]] = [
        (["--variations", "17", "--spread", "0"], "spread is a number above 0"),
        (["--variations", "17", "--spread", "nan"], "spread is a number above 0"),
        (["--variations", "1,2"], "of one seed or point, not of 2"),
        (["--spread", "0.3"], "add it, or leave --spread out"),
        (["--variations", "17", "--like", file], "leave out --like"),
        (["--variations", "17", "--points", file], "leave out --points"),
        (["--like", file, "--truncation", "0.5"], "--like has latents and classes of its own"),
        (["--more-like", "17", "--like", file], "leave out --like"),
        (["--variations", tmp_path / "a"], f"{tmp_path / 'a'} is a folder: give a seed"),
        (["--points", tmp_path / "a"], f"{tmp_path / 'a'} is a folder: give its files"),
        (["--variations", file, "--class", "style=Cubism"], "leave out --class"),
    ]
    for asked, message in refused:
        code, text = invoke("sample", model, *asked)
        assert code == 2, asked
        assert message in text
