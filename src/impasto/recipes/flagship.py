"""flagship: the best pictures that a minute of compute can buy, from a small collection."""

from typing import Any

from impasto.config import (
    AdamConfig,
    AugmentConfig,
    LatentConfig,
    NetworkConfig,
    RunConfig,
    TermConfig,
)
from impasto.config import TrainingConfig as Training


def flagship_64() -> RunConfig:
    """The flagship: a narrow FastGAN generator judged by features of a frozen network, and by pixels.

    Source: impasto's own, put together from published parts and chosen by measuring
    (docs/notebook.md, benchmarks/time_to_quality.py). FastGAN's generator (Liu et al. 2021) made
    narrow, without its second convolutions and spectral norm, the last doubling a pixel shuffle;
    the projected discriminator (Sauer et al. 2021) on EfficientNet-Lite0's maps read at 64 pixels,
    mixed across scales at one width, with small heads and a small spectral-norm discriminator of the
    pixels beside them, which keeps the colours; colour and translation of DiffAugment (Zhao et al.
    2020). With label fields, a part of the labels is hidden (see training.hide_labels), or few
    pictures a class become one.
    Command: impasto train flagship_64 --data masters
    Cost: 60,000 images take some 8 minutes on 2 CPU cores (70 images a second and core), 0.8 GB of
    memory.
    """
    return RunConfig(
        recipe="flagship_64",
        resolution=64,
        latent=LatentConfig(dim=128),
        generator=_network(
            "fastgan", width=16, embedding=16, pixel_shuffle=True, spectral_norm=False, big=False
        ),
        discriminator=_network(
            "projected", read_at=64, expand=False, head_width=64, pixel_width=16
        ),
        objective=(TermConfig(term="hinge"),),
        generator_optimiser=AdamConfig(learning_rate=1e-3, betas=(0.0, 0.99)),
        discriminator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.0, 0.99)),
        training=Training(
            batch=32,
            images=60_000,
            augment=AugmentConfig(kinds=("colour", "translation")),
            ema_half_life=5_000,
            ema_rampup=0.05,
        ),
    )


def _network(name: str, **options: Any) -> NetworkConfig:
    return NetworkConfig.model_validate({"network": name, **options})
