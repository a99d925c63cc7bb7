"""FastGAN (Liu et al. 2021) at 256 pixels, with its authors' settings."""

from impasto.config import (
    AdamConfig,
    AugmentConfig,
    LatentConfig,
    NetworkConfig,
    RunConfig,
    TermConfig,
)
from impasto.config import TrainingConfig as Training


def fastgan_256() -> RunConfig:
    """FastGAN: skip-layer excitation, and a discriminator that reconstructs real pictures.

    Source: Liu, Zhu, Song and Elgammal 2021 (arXiv:2101.04775), and the figures of their
    published code as its forks have them; see networks/fastgan.py and
    objectives/self_supervised.py.
    As published: 256 pixels, latent 256, widths 64, Adam 2e-4 (0.5, 0.999) for both networks,
    50,000 steps of 8 pictures, hinge loss with a margin drawn from [0.8, 1], colour and
    translation of DiffAugment, mirrored pictures, EMA of 0.999 a step (a half-life of 5,542
    images).
    Different here: the reconstruction error is of pixels, with weight 1 (there of VGG features,
    summed over the batch); what networks/fastgan.py lists; batch norm's running statistics are
    averaged with the weights. `--labels style` conditions both networks on classes, which there
    they are not.
    Command: impasto pack PICTURES pictures-256 --resolution 256; impasto train fastgan_256 --data
    pictures-256
    Cost: 400,000 images, for a GPU; about one a second on 2 CPU cores (1.5 seconds of one core's
    time each), with 4 GB of memory.
    """
    adam = AdamConfig(learning_rate=2e-4, betas=(0.5, 0.999))
    return RunConfig(
        recipe="fastgan_256",
        resolution=256,
        latent=LatentConfig(dim=256),
        generator=NetworkConfig(network="fastgan"),
        discriminator=NetworkConfig(network="fastgan"),
        objective=(
            TermConfig.model_validate({"term": "hinge", "margin": (0.8, 1.0)}),
            TermConfig(term="self_supervised"),
        ),
        generator_optimiser=adam,
        discriminator_optimiser=adam,
        training=Training(
            batch=8,
            images=50_000 * 8,
            mirror=True,
            augment=AugmentConfig(kinds=("colour", "translation")),
            ema_half_life=5_542,
        ),
    )
