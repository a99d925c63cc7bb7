"""flagship: the best pictures from a small collection for little compute."""

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
from impasto.settings import change


def flagship_64() -> RunConfig:
    """The flagship: a narrow FastGAN generator, discriminators on frozen features and on pixels.

    Source: impasto's own, combined from published parts and chosen by measuring
    (docs/notebook.md, benchmarks/time_to_quality.py).
    The generator is FastGAN's (Liu et al. 2021) made narrow, without its second convolutions and
    spectral norm. Its last upsampling is a pixel shuffle. All its batch norms are conditioned on
    the latent (self-modulation, Chen et al. 2019); without that, each class has one palette.
    The discriminator is the projected one (Sauer et al. 2021) on EfficientNet-Lite0's maps at 64
    pixels, mixed across scales at one width, with small heads. Beside the heads is a narrow DCGAN
    discriminator on the pixels, which keeps the colours.
    Real pictures with wrong labels count as generated (Reed et al. 2016); without that, classes
    are learned late. Augmentation is colour and translation of DiffAugment (Zhao et al. 2020).
    Command: impasto train flagship_64 --data masters
    Cost: 50,000 images take about 6 minutes on 2 CPU cores that multiply bfloat16 (157 images a
    second; 110 to 130 on one), half as long again in float32; 0.8 GB of memory.
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
    """The flagship at 32 pixels: the quickest test of whether a collection can be learned.

    Source: `flagship_64`. The features are computed from pictures enlarged to 64 pixels here too,
    because the frozen network gives poor features for smaller ones (with pictures of 64 pixels
    reduced to 32, the score was worse by a third).
    Command: impasto train flagship_32 --data masters
    Cost: 50,000 images take about 6 minutes on one CPU core (144 images a second), 0.8 GB of
    memory.
    """
    return change(flagship_64(), {"resolution": 32}, "flagship_32")


def flagship_128() -> RunConfig:
    """The flagship at 128 pixels, for some hours of a CPU or minutes of a GPU.

    Source: `flagship_64`; features are computed at 128 pixels. Its coarse layers are those of 64
    pixels, so training can start from such a model: `--from RUN`.
    Command: impasto train flagship_128 --data masters
    Cost: 300,000 images take over an hour on 2 CPU cores that multiply bfloat16 (77 images a
    second; 44 to 54 on one), 1.2 GB of memory.
    """
    settings = {"resolution": 128, "discriminator.read_at": 128, "training.images": 300_000}
    return change(flagship_64(), settings, "flagship_128")


def flagship_256() -> RunConfig:
    """The flagship at 256 pixels, for an evening on a CPU.

    Source: `flagship_64`. The frozen network reads the whole picture reduced to 128 pixels, and a
    square of 128 at a random place as it is. With the whole picture at 256 it sees a third fewer
    pictures in the same time, and paints the same motif in many places (docs/notebook.md). Its
    coarse layers are those of 128 pixels, so training can start from such a model (`--from RUN`),
    as `--time` does.
    Command: impasto train flagship_256 --data masters
    Cost: 300,000 images take three and a half hours of one CPU core that multiplies bfloat16 (23
    images a second), 1.9 GB of memory.
    """
    settings = {
        "resolution": 256,
        "discriminator.read_at": 128,
        "discriminator.crop": 128,
        "training.images": 300_000,
    }
    return change(flagship_64(), settings, "flagship_256")


def _network(name: str, **options: Any) -> NetworkConfig:
    return NetworkConfig.model_validate({"network": name, **options})
