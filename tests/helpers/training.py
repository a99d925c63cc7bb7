"""Shared by several tests: SMALL, small, CPU, session, Brightness, Flat, WGAN_GP."""

from typing import Any

import torch

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.files import cache_folder
from impasto.networks import Judgement
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session
from tests.helpers.autoencoders import HALVES, write_weights

SMALL = {
    "resolution": 32,
    "training.batch": 8,
    "training.images": 64,
    "training.grid": 4,
    "training.stats_every": 16,
    "training.samples_every": 32,
    "training.checkpoint_every": 16,
}


CPU = torch.device("cpu")


def small(recipe: str = "ukiyoe_dcgan_v1", **settings: Any) -> RunConfig:
    """A recipe made small enough for a test; `__` stands for the dots of a setting's name."""
    config: RunConfig = load_recipe(recipe)()
    narrow: dict[str, Any] = {}
    for player in ("generator", "discriminator"):
        chosen = getattr(config, player)
        network = None if chosen is None else chosen.network
        if network == "projected":
            narrow |= {"discriminator.head_width": 4, "discriminator.channels": 4}
            narrow |= {"discriminator.read_at": 32, "discriminator.levels": [4]}
            narrow |= {"discriminator.crop": None}
        elif network == "flow":
            narrow |= {"generator.size": "small", "generator.patch": 4, "generator.steps": 2}
        elif network not in ("lean", None):
            narrow[f"{player}.width"] = 4
    if config.autoencoder is not None:
        variant = config.autoencoder.options["variant"]
        found = write_weights(cache_folder() / "random-weights", variant)
        narrow |= {f"autoencoder.{half}": found[half] for half in HALVES} | {"generator.patch": 1}
    if config.training.pretrain_images:
        narrow["training.pretrain_images"] = 8
    if config.first_stage is not None:
        mine = {f"first_stage.{name}": value for name, value in {**SMALL, **narrow}.items()}
        narrow |= {**mine, "first_stage.resolution": 16}
    more = {name.replace("__", "."): value for name, value in settings.items()}
    return change(config, {**SMALL, **narrow, **more})


def session(config: RunConfig, collection: Collection) -> Session:
    return Session(resolve(config, collection), collection, CPU)


WGAN_GP: dict[str, Any] = {
    "objective": [{"term": "wasserstein"}, {"term": "gradient_penalty", "weight": 10.0}],
    "discriminator": {"network": "lean", "narrowest": 4, "widest": 8},
}


class Brightness(torch.nn.Module):
    """A discriminator that judges each picture on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 3 * 32 * 32))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> Judgement:
        return Judgement((images.flatten(1) * self.weight).mean(1, keepdim=True))


class Flat(torch.nn.Module):
    """A generator of one-coloured pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = torch.nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.colour.tanh().expand(len(latents), 3, 32, 32)
