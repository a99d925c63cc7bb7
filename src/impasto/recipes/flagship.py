"""flagship: the best pictures that a minute of compute can buy, from a small collection."""

from typing import Any

from impasto.config import (
    AdamConfig,
    AugmentConfig,
    LatentConfig,
    NetworkConfig,
    RunConfig,
    TermConfig,
    change,
)
from impasto.config import TrainingConfig as Training


def flagship_64() -> RunConfig:
    """The flagship: a narrow FastGAN generator judged by features of a frozen network, and by pixels.

    Source: impasto's own, put together from published parts and chosen by measuring
    (docs/notebook.md, benchmarks/time_to_quality.py). FastGAN's generator (Liu et al. 2021) made
    narrow, without its second convolutions and spectral norm; the last doubling a pixel shuffle; all
    its batch norms told the latent (self-modulation, Chen et al. 2019), without which a class has one
    palette; the projected discriminator (Sauer et al. 2021) on EfficientNet-Lite0's maps read at 64
    pixels, mixed across scales at one width, with small heads, and beside them a narrow DCGAN's
    discriminator of the pixels, which keeps the colours; real pictures under another one's labels
    among what is to be found generated (Reed et al. 2016), without which classes come late; colour
    and translation of DiffAugment (Zhao et al. 2020).
    Command: impasto train flagship_64 --data masters
    Cost: 50,000 images take some 6 minutes on 2 CPU cores that multiply bfloat16 (157 images a second;
    110 to 130 on one), half as long again in float32; 0.8 GB of memory.
    """
    return RunConfig(
        recipe="flagship_64",
        resolution=64,
        latent=LatentConfig(dim=128),
        generator=_network(
            "fastgan",
            width=16,
            embedding=16,
            pixel_shuffle=True,
            spectral_norm=False,
            big=False,
            self_modulation=True,
        ),
        discriminator=_network(
            "projected",
            read_at=64,
            expand=False,
            head_width=64,
            pixel_width=16,
            pixel_batch_norm=True,
        ),
        objective=(TermConfig(term="hinge"), TermConfig(term="mismatched")),
        generator_optimiser=AdamConfig(learning_rate=1e-3, betas=(0.0, 0.99)),
        discriminator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.0, 0.99)),
        training=Training(
            batch=32,
            images=50_000,
            augment=AugmentConfig(kinds=("colour", "translation")),
            ema_half_life=5_000,
            ema_rampup=0.05,
        ),
    )


def flagship_32() -> RunConfig:
    """The flagship at 32 pixels: the quickest look at whether a collection can be learned.

    Source: `flagship_64`, whose features read the pictures enlarged to 64 pixels here too, for the
    frozen network sees little in smaller ones (read at 32, pictures of 64 pixels came out worse by a
    third).
    Command: impasto train flagship_32 --data masters
    Cost: 50,000 images take some 6 minutes on one CPU core (144 images a second), 0.8 GB of memory.
    """
    return change(flagship_64(), {"resolution": 32}, "flagship_32")


def flagship_128() -> RunConfig:
    """The flagship at 128 pixels, for some hours of a CPU or minutes of a GPU.

    Source: `flagship_64`; features read at 128 pixels. Its coarse layers are those of 64 pixels, so
    training can start from such a model: `--from RUN`.
    Command: impasto train flagship_128 --data masters
    Cost: 300,000 images take over an hour on 2 CPU cores that multiply bfloat16 (77 images a second;
    44 to 54 on one), 1.2 GB of memory.
    """
    settings = {"resolution": 128, "discriminator.read_at": 128, "training.images": 300_000}
    return change(flagship_64(), settings, "flagship_128")


def flagship_256() -> RunConfig:
    """The flagship at 256 pixels, for a GPU: the generator four times as wide.

    Source: `flagship_64`; features read at 256 pixels, heads and width nearer to the published ones
    (recipe projected_256), learning rates of a larger network. Not tuned: chosen by what the others
    taught, and run for a few steps only.
    Command: impasto train flagship_256 --data masters
    Cost: a million images; 1.6 images a CPU-second, so this is for a GPU, where it has not been timed.
    """
    settings = {
        "resolution": 256,
        "generator.width": 64,
        "generator.big": True,
        "discriminator.read_at": 256,
        "discriminator.head_width": 128,
        "discriminator.pixel_width": 32,
        "generator_optimiser.learning_rate": 5e-4,
        "discriminator_optimiser.learning_rate": 5e-4,
        "training.images": 1_000_000,
        "training.ema_half_life": 10_000,
    }
    return change(flagship_64(), settings, "flagship_256")


def _network(name: str, **options: Any) -> NetworkConfig:
    return NetworkConfig.model_validate({"network": name, **options})
