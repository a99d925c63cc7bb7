"""Shared by several tests: worn_generator."""

from typing import Any

import torch

from impasto.networks import build_generator


def worn_generator(family: str = "dcgan", resolution: int = 32) -> torch.nn.Module:
    """A generator whose batch norms have seen something, as after training."""
    torch.manual_seed(3)
    options: dict[str, Any] = {}
    if family == "stacked":
        options = {"base": {"network": "dcgan"}, "base_resolution": resolution // 2}
    generator = build_generator(family, options, latent_dim=16, resolution=resolution)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.1, 2)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.5, 3)
            module.bias.data.normal_(0, 0.3)
    return generator.eval()
