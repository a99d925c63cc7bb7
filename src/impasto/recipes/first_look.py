"""first_look: the quickest way to painterly pictures from a small collection."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training


def first_look() -> RunConfig:
    """A lean hinge GAN for a first look: narrow networks, small batches, many steps, EMA.

    Source: impasto's own, combined from published parts and chosen by measuring
    (docs/notebook.md, benchmarks/first_look.py); networks/lean.py and objectives/hinge.py name
    the sources of the parts. Batches of 16, Adam 5e-4 (0, 0.99) for both networks. EMA's
    half-life rises with the run; without that the pictures of the first minutes are a grey
    average.
    Command: impasto train first_look --data masters
    Cost: 72,000 images take about 8 minutes on 2 CPU cores (150 images a second), 0.5 GB of memory.
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
        training=Training(batch=16, images=72_000, ema_half_life=5_000, ema_rampup=0.05),
    )
