"""ArtGAN: as built in Bianca Marin Moreno's report (2020) after Tan et al. 2017, and as published
by the paper's authors."""

from impasto.config import (
    DecayConfig,
    LatentConfig,
    NetworkConfig,
    RMSPropConfig,
    RunConfig,
    TermConfig,
)
from impasto.config import TrainingConfig as Training
from impasto.settings import change


def artgan() -> RunConfig:
    """ArtGAN after the report: K+1 sigmoids, label feedback, reconstruction by both networks.

    Source: Bianca Marin Moreno, "ArtGAN: Artwork Synthesis with Conditional Categorical GANs"
    (2020), after Tan, Chan, Aguirre and Tanaka 2017 (arXiv:1702.03410).
    As described there: 64 pixels, latent 100 and the one-hot label, encoder and decoder with
    features of 512x8x8, binary cross-entropy on K+1 sigmoids, the mean squared reconstruction
    error in the generator's loss, RMSProp 0.001 with decay 0.9, an exponentially falling learning
    rate, LeakyReLU 0.2, batch 128. The report drops the last, smaller batch of an epoch. Here it
    is filled up from the next epoch.
    Where it is silent: the learning rate falls to a tenth over 30,000 batches, where the
    published code of the paper divides it by ten; 100 epochs (the report shows 65 of CIFAR-10).
    `--set objective.reconstruction.only=null` lets the encoder learn from the reconstruction too.
    Command: impasto pack cifar-10-binary.tar.gz cifar-32 --resolution 32 --labels class; impasto
    train artgan --data cifar-32 --labels class --set resolution=32; or folders by class, such as
    WikiArt's: impasto pack WIKIART wikiart-64 --labels style; impasto train artgan --data
    wikiart-64
    Cost: about 19 pictures a second on 2 CPU cores (docs/notebook.md).
    """
    decay = DecayConfig(factor=0.1, images=30_000 * 128)
    return RunConfig(
        recipe="artgan",
        resolution=64,
        labels=("style",),
        latent=LatentConfig(dim=100),
        generator=NetworkConfig(network="artgan"),
        discriminator=NetworkConfig(network="artgan"),
        objective=(
            TermConfig(term="categorical"),
            # The report's images are in [0, 1], where squared errors are a quarter of those in [-1, 1].
            TermConfig(term="reconstruction", weight=0.25, only="generator"),
        ),
        generator_optimiser=RMSPropConfig(learning_rate=1e-3, decay=0.9, learning_rate_decay=decay),
        discriminator_optimiser=RMSPropConfig(
            learning_rate=1e-3, decay=0.9, learning_rate_decay=decay
        ),
        training=Training(batch=128, epochs=100),
    )


def artgan_tricks() -> RunConfig:
    """ArtGAN after the report with both its tricks against an overfitting discriminator.

    Source: Marin Moreno 2020, section 3.1 (see artgan): labels flipped with probability 0.05 in
    the discriminator's loss, and noise from N(0, 1) added to the real pictures. The report's
    pictures are in [0, 1], so that is a standard deviation of 2 in [-1, 1]. Each trick alone:
    --set training.real_noise=0, --set objective.categorical.flip=0.
    With noise on real pictures only, the generator learns to imitate the noise: it did in our run
    (docs/systems.md). The same noise on generated pictures, --set training.fake_noise=...,
    prevents that.
    Command: impasto train artgan_tricks --data masters
    Cost: that of artgan.
    """
    return change(
        artgan(),
        {"objective.categorical.flip": 0.05, "training.real_noise": 2.0},
        recipe="artgan_tricks",
    )


def artgan_published() -> RunConfig:
    """ArtGAN as its authors published it: an implicit fake class and an autoencoding discriminator.

    Source: the published code (github.com/cs-chan/ArtGAN, Style128GANAE) of Tan, Chan, Aguirre
    and Tanaka 2019 (arXiv:1708.09533).
    As published: latent 100, uniform in [-1, 1]; pictures of 128 pixels, pooled to 64 for the
    discriminator, which has K logits, D(x) = Z / (Z + 1) with Z the sum of their exponentials
    (Salimans et al. 2016, arXiv:1606.03498, section 5), noise of 0.05 on its input and dropout
    0.2; cross-entropy of real pictures for the discriminator and of generated ones for the
    generator; half the mean squared error of the discriminator's autoencoder, of real and of
    generated pictures; RMSProp with decay 0.9 and learning rates 1e-3 and 1e-4, a tenth of that
    from batch 30,000 on; 50,000 batches of 100.
    Different here: generated pictures have classes as frequent as in the collection (there
    equally frequent; with `--set training.balance=style` here too, for real and generated
    pictures); pictures are not mirrored while training (`--set training.mirror=true` does) nor
    cropped at random positions (`pack --fit tiles` crops beforehand); real pictures are read at
    128 pixels and pooled like the generated ones (there they are read at 64); sampling uses batch
    norm's running statistics, since a seed must always give the same picture (there the batch's);
    the generator's loss is computed on the generated pictures of the discriminator's update (there
    on new ones); log Z is computed for each picture (there a [B] and a [B, 1] tensor are added to
    a [B, B] one); RMSProp is torch's, whose average of squared gradients starts at zero, so that
    the first step is 3.16 times the learning rate for every weight (TensorFlow's starts at one,
    so that the first steps are nearly proportional to the gradient).
    In a run longer than the published one, the learning rates fall again at 6 million pictures.
    Command: impasto pack WIKIART wikiart-128 --resolution 128 --labels style; impasto train
    artgan_published --data wikiart-128
    Cost: 5 million pictures, for a GPU; about 11 a second on 2 CPU cores (docs/notebook.md).
    """
    drop = DecayConfig(factor=0.1, images=30_000 * 100, smooth=False)
    return RunConfig(
        recipe="artgan_published",
        resolution=128,
        labels=("style",),
        latent=LatentConfig(dim=100, distribution="uniform"),
        generator=NetworkConfig(network="artgan_autoencoder"),
        discriminator=NetworkConfig.model_validate({"network": "artgan_autoencoder", "pool": 2}),
        objective=(
            TermConfig(term="bce"),
            TermConfig(term="auxiliary_classifier"),
            TermConfig(term="autoencoder", weight=0.5),
        ),
        generator_optimiser=RMSPropConfig(learning_rate=1e-4, decay=0.9, learning_rate_decay=drop),
        discriminator_optimiser=RMSPropConfig(
            learning_rate=1e-3, decay=0.9, learning_rate_decay=drop
        ),
        training=Training(batch=100, images=5_000_000),
    )
