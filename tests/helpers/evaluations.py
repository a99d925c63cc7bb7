"""Shared by several tests: stand_in."""

import hashlib

import torch
from torch import Tensor

from impasto.features import FeatureNetwork


def stand_in(name: str = "lite0", seed: int = 0, width: int = 6) -> FeatureNetwork:
    """A network whose features are a few random sums of the pixels: quick, and exact to follow."""
    weights = torch.randn(32 * 32 * 3, width, generator=torch.Generator().manual_seed(seed)) / 1000

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = pixels.reshape(len(pixels), -1).float() @ weights
        return features, features[:, :4]

    return FeatureNetwork(
        name=name,
        width=width,
        classes=4,
        resize="none",
        weights_sha256=hashlib.sha256(bytes([seed])).hexdigest(),
        standard=False,
        device=torch.device("cpu"),
        extract=extract,
    )
