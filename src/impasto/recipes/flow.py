"""flow: pictures out of noise, in small steps; trained without a discriminator."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training
from impasto.settings import change


def flow_64() -> RunConfig:
    """A flow model on pixels: a U-Net learns to remove noise, and makes pictures by removing it.

    Source: impasto's own, of published parts: the flow of Liu et al. 2022 (arXiv:2209.03003) with the
    predicted picture and the loss of JiT (Li and He 2025, arXiv:2511.13720), at lower noise than
    theirs, and with the noisy picture mixed into the prediction (`preconditioning`).
    One loss, and no second network to balance. With `--labels style` it learns classes; a tenth of
    the labels is hidden, so that `sample --guidance` works.
    Command: impasto train flow_64 --data masters
    Cost: 300,000 images take about 36 minutes of one CPU core that multiplies bfloat16 (138 a second);
    64 pictures take 4 seconds of it.
    """
    return RunConfig(
        recipe="flow_64",
        resolution=64,
        latent=LatentConfig(),
        generator=NetworkConfig.model_validate(
            {"network": "flow", "size": "medium", "preconditioning": "mixed", "steps": 16}
        ),
        discriminator=None,
        objective=(
            TermConfig.model_validate({"term": "flow", "time_mean": 0.0, "time_deviation": 1.0}),
        ),
        generator_optimiser=AdamConfig(learning_rate=1e-3, betas=(0.9, 0.99)),
        discriminator_optimiser=None,
        training=Training(
            batch=64,
            images=300_000,
            hide_labels=0.1,
            ema_half_life=5_000,
            ema_rampup=0.05,
            samples_every=15_000,
        ),
    )


def flow_32() -> RunConfig:
    """The flow model at 32 pixels.

    Source: `flow_64`, with squares of 2 x 2 pixels in place of 4 x 4, so that the layers have the same
    number of positions.
    Command: impasto train flow_32 --data masters
    Cost: 300,000 images take about as long as with `flow_64`, 36 minutes of one CPU core that multiplies
    bfloat16: the layers are the same but for the first and the last.
    """
    return change(flow_64(), {"resolution": 32, "generator.patch": 2}, "flow_32")
