"""The bits of a picture: the same whichever pictures are painted with it, by whatever command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.config import LatentConfig
from impasto.networks import build_generator, one_hot
from impasto.sampling.output import seed_name
from impasto.sampling.portions import in_portions, portion_of
from impasto.sampling.sampler import Sampler
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import done

SEED = 17
BATCHES = ([SEED], list(range(14, 21)), list(range(33)))
FAMILIES: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 32},
    "artgan": {"width": 32},
    "gangogh": {"width": 8},
    "fastgan": {"width": 16},
    "lean": {"widest": 64},
    "flow": {"patch": 4, "steps": 2},
    "r3gan": {"width": 32},
}
UNLABELLED = ("dcgan", "lean")


@pytest.fixture(autouse=True)
def fixed_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads, by which bits may differ, does not follow what else the machine does."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_has_the_same_bits_in_every_command(kind: str, tmp_path: Path) -> None:
    model = random_model(tmp_path / "m", kind)
    name = f"{seed_name(SEED)}.png"
    for place, seeds in enumerate(BATCHES):
        done("sample", model, "--seeds", f"{seeds[0]}-{seeds[-1]}", "--out", tmp_path / str(place))
    asked = pixels(tmp_path / "0" / name)
    found = {
        f"sample of {len(seeds)}": pixels(tmp_path / str(place) / name)
        for place, seeds in enumerate(BATCHES)
    }
    frames = ["--fps", 20, "--seconds", 0.15, "--out", tmp_path / "walk"]
    done("walk", model, "--seeds", f"3,{SEED},5", *frames)
    found["walk"] = pixels(tmp_path / "walk" / "frame-000001.png")
    points = tmp_path / "p.safetensors"
    done(
        "sample", model, "--seeds", f"2,{SEED},4", "--save-points", points, "--out", tmp_path / "s"
    )
    found["--save-points"] = pixels(tmp_path / "s" / name)
    done("sample", model, "--points", points, "--out", tmp_path / "points")
    found["--points"] = pixels(tmp_path / "points" / "point-0001.png")
    done("sample", model, "--like", tmp_path / "2" / name, "--out", tmp_path / "like")
    found["--like"] = pixels(tmp_path / "like" / "point-0000.png")
    grid = tmp_path / "grid.png"
    if kind == "self-modulated":
        done("mix", model, "--coarse", f"{SEED},1", "--fine", f"2-4,{SEED}", "--grid", grid)
        # The names are above and to the left.
        cells = pixels(grid)[-96:, -160:].reshape(3, 32, 5, 32, 3).swapaxes(1, 2)
        found |= {"mix, row": cells[1, 0], "mix, column": cells[0, 4]}
    for what, picture in found.items():
        assert np.array_equal(picture, asked), what


def test_a_picture_has_the_same_bits_in_another_process(tmp_path: Path) -> None:
    model = random_model(tmp_path / "m", "self-modulated")
    done("sample", model, "--seeds", "14-20", "--out", tmp_path / "here")
    command = [sys.executable, "-m", "impasto", "sample", str(model), "--seeds", str(SEED)]
    subprocess.run([*command, "--out", str(tmp_path / "there")], check=True, env=os.environ)
    name = f"{seed_name(SEED)}.png"
    assert np.array_equal(pixels(tmp_path / "there" / name), pixels(tmp_path / "here" / name))


def wide_sampler(family: str) -> Sampler:
    """Of a generator of random weights, with layers wide enough for the kernels of large products."""
    latent = LatentConfig(dim=3 * 32 * 32 if family == "flow" else 100)
    torch.manual_seed(0)
    generator = build_generator(
        family,
        FAMILIES[family],
        latent_dim=latent.size,
        resolution=32,
        label_sizes=() if family in UNLABELLED else (5,),
    )
    for parameter in generator.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, parameter[0].numel() ** -0.5)
    return Sampler(generator, latent)


@pytest.mark.parametrize(
    ("family", "precision"),
    [*((family, "float32") for family in FAMILIES), ("fastgan", "bfloat16"), ("lean", "bfloat16")],
)
def test_values_have_the_same_bits_in_every_batch(family: str, precision: str) -> None:
    sampler = wide_sampler(family)
    sampler.precision = precision
    latents = torch.randn(33, sampler.latent.size, generator=torch.Generator().manual_seed(1))
    fields = 0 if family in UNLABELLED else 1
    labels = (torch.arange(33)[:, None] % 5)[:, :fields]
    found = [sampler.images(latents[seeds], labels[seeds]) for seeds in BATCHES]
    (alone,), among = found[0], found[1][SEED - 14]
    assert float(alone.std()) > 0.01
    assert torch.equal(alone, among)
    assert torch.equal(found[1], found[2][14:21])
    backwards = sampler.images(latents.flip(0), labels.flip(0))
    assert torch.equal(backwards.flip(0), found[2])
    weights = one_hot(labels, (5,) * fields)
    assert torch.equal(sampler.images(latents[[SEED]], weights[[SEED]])[0], alone)


def test_a_portion_is_always_full() -> None:
    sizes: list[int] = []

    def generate(latents: Tensor, labels: Tensor) -> Tensor:
        sizes.append(len(latents))
        return latents[:, :, None, None] * labels[:, :1, None, None]

    latents = torch.arange(12.0).view(6, 2)
    labels = torch.arange(1, 7).view(6, 1)
    found = in_portions(generate, latents, labels, 4)
    assert torch.equal(found[:, :, 0, 0], latents * labels)
    assert sizes == [4, 4]
    assert len(in_portions(generate, latents[:1], labels[:1], 4)) == 1
    assert len(in_portions(generate, latents, labels, 1)) == 6
    assert sizes == [4, 4, 4, *[1] * 6]


@pytest.mark.parametrize(
    ("layers", "side", "expected"),
    [
        ([nn.Conv2d(2, 3, 3)], 16, 4),  # each weight at 14^2 = 196 positions
        ([nn.Conv2d(2, 3, 3)], 17, 1),  # 225
        ([nn.ConvTranspose2d(2, 3, 4, 2)], 14, 4),  # 196 of its input; its output has 900
        ([nn.ConvTranspose2d(2, 3, 4, 2)], 15, 1),
        # 54 weights 400 times, and 54 or 60 of them 1 time: 200.5, and 190.
        ([nn.Linear(6, 9), nn.Conv2d(2, 3, 3)], 22, 1),
        ([nn.Linear(6, 10), nn.Conv2d(2, 3, 3)], 22, 4),
    ],
)
def test_the_portion_follows_how_often_weights_are_used(
    layers: list[nn.Module], side: int, expected: int
) -> None:
    network = nn.ModuleList(layers)

    def generate(latents: Tensor, labels: Tensor) -> Tensor:
        if isinstance(layers[0], nn.Linear):
            layers[0](latents)
        images: Tensor = layers[-1](torch.zeros(len(latents), 2, side, side))
        return images

    for _ in range(2):  # what counts is removed again
        found = portion_of(network, generate, torch.zeros(1, 6), torch.zeros(1, 0))
        assert found == expected
    assert not any(layer._forward_hooks for layer in layers)


def test_a_generator_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samplers of one generator, as the studio makes for each request, share what is known."""
    asked: list[nn.Module] = []

    def counted(network: nn.Module, *rest: Any) -> int:
        asked.append(network)
        return portion_of(network, *rest)

    monkeypatch.setattr("impasto.sampling.sampler.portion_of", counted)
    first = wide_sampler("lean")
    generator = first.generator
    for _ in range(2):
        Sampler(generator, first.latent).images(torch.zeros(1, 100), torch.zeros(1, 0))
    assert len(asked) == 1
