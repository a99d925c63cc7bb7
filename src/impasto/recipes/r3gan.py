"""R3GAN (Yiwen Huang, Aaron Gokaslan, Volodymyr Kuleshov and James Tompkin, 2024), with its sizes
for FFHQ-64 and CIFAR-10."""

from impasto.config import (
    AdamConfig,
    AugmentConfig,
    LatentConfig,
    NetworkConfig,
    Ramp,
    RunConfig,
    TermConfig,
)
from impasto.config import TrainingConfig as Training
from impasto.settings import change

_BURN_IN = 20_000_000  # images until the scheduled settings reach their final values


def _ramp(start: float, end: float) -> Ramp:
    return Ramp(start=start, end=end, images=_BURN_IN)


def r3gan_64() -> RunConfig:
    """R3GAN for 64 pixels: relativistic pairing with R1 and R2, every setting on a cosine ramp.

    Residual networks of 22 million weights each, without normalisation.

    Source: Huang, Gokaslan, Kuleshov and Tompkin 2024 (arXiv:2501.05441), and the figures of
    their published code (github.com/brownvc/R3GAN) for FFHQ-64.
    As published: batch 256, latent 64, 768 channels but 384 at 64 pixels, two blocks a stage,
    expansion 2, groups of 16 channels (cardinality 96), Adam with beta1 0, mirrored pictures;
    over the first 20 million images the learning rate from 2e-4 to 5e-5, beta2 from 0.9 to 0.99,
    the weight of R1 and R2 from 2 to 0.2, the probability of augmentation from 0 to 0.3 and the
    half-life of EMA from 0 to 500,000 images.
    Different here: see networks/r3gan.py for the networks; ADA's colour changes have the same
    probability as the others, there half of it; batches are computed in 4 portions, there on 8
    GPUs. The length of the ramps for FFHQ-64 is assumed to be that for CIFAR-10. The length of
    the run is chosen here.
    Published result: FID 1.95 on FFHQ-64.
    Command: impasto train r3gan_64 --data masters
    Cost: for GPUs: about 0.3 pictures a second on 2 CPU cores (single steps, without
    augmentation). A run much shorter than the ramps covers their beginning only: no augmentation,
    hardly any averaging. To try the method, use narrow networks and ramps as long as the run:
    `--set generator.width=96 --set discriminator.width=96 --set 'objective.r1.weight={start: 2,
    end: 0.2, images: 200000}'` and so on.
    """
    adam = AdamConfig(learning_rate=_ramp(2e-4, 5e-5), betas=(0.0, _ramp(0.9, 0.99)), eps=1e-8)
    network = NetworkConfig.model_validate({"network": "r3gan", "width": 768})
    return RunConfig(
        recipe="r3gan_64",
        resolution=64,
        latent=LatentConfig(dim=64),
        generator=network,
        discriminator=network,
        objective=(
            TermConfig(term="relativistic"),
            TermConfig(term="r1", weight=_ramp(2.0, 0.2)),
            TermConfig(term="r2", weight=_ramp(2.0, 0.2)),
        ),
        generator_optimiser=adam,
        discriminator_optimiser=adam,
        training=Training(
            batch=256,
            accumulate=4,
            images=100_000_000,
            mirror=True,
            augment=AugmentConfig(kinds=("bgc", "cutout"), probability=_ramp(0.0, 0.3)),
            ema_half_life=_ramp(0.0, 500_000),
        ),
    )


def r3gan_32() -> RunConfig:
    """R3GAN for 32 pixels: r3gan_64 with the figures for CIFAR-10.

    Source: as r3gan_64; the figures for CIFAR-10: 768 channels in all four stages, batch 512, the
    weight of R1 and R2 from 0.05 to 0.005, the probability of augmentation from 0 to 0.55, the
    half-life of EMA from 0 to 5 million images, 250 million images in all.
    Different here: as r3gan_64; and the networks are unconditional without `--labels class`,
    there conditional.
    Published result: FID 1.96 on CIFAR-10.
    Command: impasto pack cifar-10-binary.tar.gz cifar-32 --resolution 32 --labels class; impasto
    train r3gan_32 --data cifar-32 --labels class
    Cost: for GPUs: about 0.5 pictures a second on 2 CPU cores.
    """
    gamma = _ramp(0.05, 0.005).model_dump()
    return change(
        r3gan_64(),
        {
            "resolution": 32,
            "objective.r1.weight": gamma,
            "objective.r2.weight": gamma,
            "training.batch": 512,
            "training.images": 250_000_000,
            "training.augment.probability": _ramp(0.0, 0.55).model_dump(),
            "training.ema_half_life": _ramp(0.0, 5_000_000).model_dump(),
        },
        recipe="r3gan_32",
    )
