"""WikiArtGAN (Jacob Frausto): a plain DCGAN on the 81,446 pictures of WikiArt."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training


def wikiart_dcgan() -> RunConfig:
    """WikiArtGAN's DCGAN: 64 pixels, latent 128, batch 128, 20 epochs.

    Source: Jacob Frausto, "WikiArtGAN" (report), on Radford, Metz and Chintala 2015
    (arXiv:1511.06434).
    As described there: 3x64x64, standard normal latents of 128, strided (transposed) convolutions
    with batch norm, ReLU in the generator and LeakyReLU in the discriminator, Tanh and sigmoid
    outputs, batch 128, learning rate 0.001, 20 epochs; losses and scores (mean D(x), D(G(z)))
    over time.
    Where the report is silent, the paper decides: widths 64 to 512, no batch norm in the
    discriminator's first layer, weights from N(0, 0.02), Adam with beta1 0.5. "Resized to 64x64"
    is taken as squashed to a square.
    Command: impasto pack WIKIART wikiart-64 --fit squash; impasto train wikiart_dcgan --data
    wikiart-64
    Cost: the author's 20 epochs (1.6 million pictures) took about 50 hours on a Tesla K80. 2 CPU
    cores take 4 hours, at 125 pictures a second (docs/notebook.md).
    """
    return RunConfig(
        recipe="wikiart_dcgan",
        resolution=64,
        latent=LatentConfig(dim=128),
        generator=NetworkConfig(network="dcgan"),
        discriminator=NetworkConfig(network="dcgan"),
        objective=(TermConfig(term="bce"),),
        generator_optimiser=AdamConfig(learning_rate=0.001, betas=(0.5, 0.999)),
        discriminator_optimiser=AdamConfig(learning_rate=0.001, betas=(0.5, 0.999)),
        training=Training(batch=128, epochs=20),
    )
