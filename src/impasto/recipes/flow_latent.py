"""flow_latent: pictures of 256 pixels out of noise, in the latent space of a frozen autoencoder."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training


def flow_latent_256() -> RunConfig:
    """A flow model on latents: a U-Net learns to remove noise from latents of 32 x 32.

    Source: impasto's own, of published parts. An autoencoder that is trained and frozen before makes
    the latents (latent diffusion, Rombach et al. 2022, arXiv:2112.10752); here TAEF2 of
    github.com/madebyollin/taesd, 2.7 MB a half, which is downloaded into the cache once. The flow
    is as in `flow_64`; latents have the standard deviation of pictures, as in EDM2 (Karras et al.
    2024, arXiv:2312.02696).
    Squares of 2 x 2 latents, of 16 pixels, go into a U-Net, whose convolutions leave no edges.
    With `--labels style` it learns classes; a tenth of the labels is hidden, and pictures are made
    with guidance 2.
    Command: impasto train flow_latent_256 --data COLLECTION --labels style
    Cost: 500,000 images take 3.2 hours of one CPU core that multiplies bfloat16 (44 a second), and
    encoding before that 0.45 s of it a picture, once.
    """
    return RunConfig(
        recipe="flow_latent_256",
        resolution=256,
        latent=LatentConfig(),
        autoencoder=NetworkConfig.model_validate({"network": "taesd", "variant": "taef2"}),
        generator=NetworkConfig.model_validate(
            {
                "network": "flow",
                "size": "large",
                "patch": 2,
                "blocks": 2,
                "preconditioning": "mixed",
                "steps": 24,
                "sampler": "euler",
                "guidance": 2.0,
            }
        ),
        discriminator=None,
        objective=(
            TermConfig.model_validate({"term": "flow", "time_mean": -0.2, "time_deviation": 1.0}),
        ),
        generator_optimiser=AdamConfig(learning_rate=7e-4, betas=(0.9, 0.99)),
        discriminator_optimiser=None,
        training=Training(
            batch=64,
            images=500_000,
            mirror=True,
            hide_labels=0.1,
            ema_half_life=5_000,
            ema_rampup=0.05,
            grid=16,
            samples_every=50_000,
        ),
    )
