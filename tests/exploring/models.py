"""Models of random weights, of every kind of generator that walks and the like have to do with."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from impasto.config import LatentConfig, NetworkConfig
from impasto.networks import generator_of
from impasto.resolution import Resolution
from impasto.sampling import Model
from tests.helpers.records import record_of

_FIELDS: dict[str, tuple[str, ...]] = {"style": ("Cubism", "Rococo", "Ukiyo-e")}
_STACKED = {"base": {"network": "artgan", "width": 4}, "base_resolution": 16, "width": 8}
_OPTIONS: dict[str, dict[str, Any]] = {
    "dcgan": {"network": "dcgan", "width": 4},
    "artgan": {"network": "artgan", "width": 4},
    "fastgan": {"network": "fastgan", "width": 4, "embedding": 6},
    "self-modulated": {"network": "fastgan", "width": 4, "embedding": 6, "self_modulation": True},
    "stacked": {"network": "stacked", **_STACKED},
    "flow": {"network": "flow", "patch": 4, "steps": 2},
}
KINDS = tuple(_OPTIONS)


def random_model(
    folder: Path,
    kind: str,
    seed: int = 0,
    *,
    steady: bool = False,
    resolution: Resolution = 32,
    buckets: tuple[Resolution, ...] = (),
) -> Path:
    """A model folder, at 32 pixels by default, with three styles where the generator knows classes; the
    latents of `dcgan` are uniform. With `steady`, maps keep their size from layer to layer, so that
    pictures do not hang on rounding."""
    fields = {} if kind == "dcgan" else _FIELDS
    rows: list[tuple[int, ...]] = [()] if kind == "dcgan" else [(0,), (1,), (2,)]
    latent = LatentConfig(
        dim=3 * 32 * 32 if kind == "flow" else 16,
        distribution="uniform" if kind == "dcgan" else "normal",
    )
    changes = {
        "resolution": resolution,
        "buckets": buckets,
        "latent": latent,
        "generator": NetworkConfig.model_validate(_OPTIONS[kind]),
        "discriminator": None,
    }
    record = record_of(fields, rows, [1] * len(rows)).model_copy(update=changes)
    torch.manual_seed(seed)
    generator = generator_of(record, record.label_sizes)
    for parameter in generator.parameters():
        if parameter.ndim > 1:  # so large that pictures are no plain grey
            nn.init.normal_(parameter, 0.0, parameter[0].numel() ** -0.5 if steady else 0.2)
    if (
        steady and kind != "flow"
    ):  # the statistics of batch norms, and spectral norms, of these weights
        generator.train()
        with torch.no_grad():
            for _ in range(15):
                generator(torch.randn(16, 16), torch.randint(0, 3, (16, len(fields))))
    folder.mkdir()
    Model.write(folder, generator.state_dict(), record)
    return folder
