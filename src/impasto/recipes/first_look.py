"""first_look: the quickest way to see painterly pictures come out of a small collection."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training


def first_look() -> RunConfig:
    """A lean hinge GAN for a first look: narrow networks, small batches, many steps, EMA.

    Source: impasto's own, put together from published parts and chosen by measuring
    (docs/notebook.md); see networks/lean.py and objectives/hinge.py for whose parts they are.
    Command: impasto train first_look --data masters
    """
    return RunConfig(
        recipe="first_look",
        resolution=64,
        latent=LatentConfig(dim=128),
        generator=NetworkConfig(network="lean"),
        discriminator=NetworkConfig(network="lean"),
        objective=(TermConfig(term="hinge"),),
        generator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.0, 0.99)),
        discriminator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.0, 0.99)),
        training=Training(batch=16, images=90_000, ema_half_life=5_000, ema_rampup=0.05),
    )
