"""Shared by several tests: worn_generator, latent_of."""

from typing import Any

import torch

from impasto.config import LatentConfig
from impasto.networks import build_generator
from impasto.registry import load_module


def latent_of(family: str, resolution: int = 32) -> LatentConfig:
    """The latents of `worn_generator`: 16 values, or as many as the family needs."""
    needed = getattr(load_module("networks", family, "network"), "latent_dim", None)
    return LatentConfig(dim=16 if needed is None else needed(resolution))


def worn_generator(family: str = "dcgan", resolution: int = 32) -> torch.nn.Module:
    """A generator whose batch norms have seen something, as after training."""
    torch.manual_seed(3)
    options: dict[str, Any] = {}
    if family == "stacked":
        options = {"base": {"network": "dcgan"}, "base_resolution": resolution // 2}
    if family == "flow":
        options = {"steps": 4}
    size = latent_of(family, resolution).size
    generator = build_generator(family, options, latent_dim=size, resolution=resolution)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.1, 2)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.5, 3)
            module.bias.data.normal_(0, 0.3)
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():  # layers that begin at zero
            parameter.data.normal_(0, 0.05)
    return generator.eval()
