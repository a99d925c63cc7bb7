"""Projected GAN (Axel Sauer, Kashyap Chitta, Jens Müller and Andreas Geiger, 2021)."""

from impasto.config import (
    AdamConfig,
    AugmentConfig,
    LatentConfig,
    NetworkConfig,
    RunConfig,
    TermConfig,
)
from impasto.config import TrainingConfig as Training


def projected_256() -> RunConfig:
    """Projected GAN at 256 pixels: FastGAN's generator, and a discriminator on frozen features.

    Source: Sauer et al. 2021 (arXiv:2111.01007), and the figures of their published code
    (github.com/autonomousvision/projected-gan).
    As published: FastGAN's generator of width 128 with a latent of 256; EfficientNet-Lite0, its
    maps mixed across channels (64 in the finest) and scales; four heads up to 512 channels with
    spectral norm and batch norm; hinge loss and no other term; batches of 64; Adam 2e-4 (0, 0.99)
    for both networks; colours, translation and cutout (Zhao et al. 2020, arXiv:2006.10738) on
    every picture; EMA with a half-life of 20,000 images, at first a twentieth of the images seen.
    Different here: see networks/projected.py for the form of the mixing and of the heads; classes
    condition the discriminator by projection. Chosen here: a million images, mirrored.
    Command: impasto train projected_256 --data masters
    Cost: a million images, for a GPU; one in about 2 seconds on 2 CPU cores, with 6 GB of memory
    at batch 8.
    """
    adam = AdamConfig(learning_rate=2e-4, betas=(0.0, 0.99))
    return RunConfig(
        recipe="projected_256",
        resolution=256,
        latent=LatentConfig(dim=256),
        generator=NetworkConfig.model_validate({"network": "fastgan", "width": 128}),
        discriminator=NetworkConfig(network="projected"),
        objective=(TermConfig(term="hinge"),),
        generator_optimiser=adam,
        discriminator_optimiser=adam,
        training=Training(
            batch=64,
            images=1_000_000,
            mirror=True,
            augment=AugmentConfig(kinds=("colour", "translation", "cutout")),
            ema_half_life=20_000,
            ema_rampup=0.05,
        ),
    )
