"""Shared by several tests: sketch."""

from typing import Any

import torch

from impasto.features import FeatureNetwork


def sketch(name: str = "lite0", **_: Any) -> FeatureNetwork:
    """A feature network of a few random projections of a thumbnail."""
    source = torch.Generator().manual_seed(0)
    seen = torch.randn(3 * 64, 6, generator=source)
    named = torch.randn(6, 4, generator=source)

    def extract(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        small = torch.nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float() / 255, 8)
        features = (small.flatten(1) @ seen).relu()
        return features, features @ named

    return FeatureNetwork(
        name=name,
        width=6,
        classes=4,
        resize="averaged to 8 x 8 px",
        weights_sha256="0" * 64,
        standard=False,
        device=torch.device("cpu"),
        extract=extract,
    )
