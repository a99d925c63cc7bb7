"""GANGogh (Kenny Jones and Derrick Bonafilia, 2017): an AC-GAN with a Wasserstein critic on
WikiArt, and its future work."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training
from impasto.settings import change


def gangogh() -> RunConfig:
    """GANGogh: AC-GAN on WGAN-GP, global conditioning by gated activations, critic pretraining.

    Source: Kenny Jones and Derrick Bonafilia, "GANGogh: Creating Art with GANs" (2017), and the
    figures of their published code (github.com/rkjones4/GANGogh), on Odena et al. 2016
    (arXiv:1610.09585) and Gulrajani et al. 2017 (arXiv:1704.00028).
    As published: 64 pixels, latent 128 and the one-hot genre, widths 512 to 64, batches of 84 (6
    of each of 14 genres), 5 critic updates a step, gradient penalty 10, class losses of weight 1
    (the critic's on real pictures only), Adam 1e-4 (0.5, 0.9) for both, critic pretraining for
    2,000 batches, 200,000 generator updates.
    Different here: their code builds a class loss of weight 50 for pretraining but never uses it,
    so it is left out; the length is set in images.
    Command: impasto pack WIKIART wikiart-64 --labels genre; impasto train gangogh --data wikiart-64
    Cost: 200,000 generator updates take 84 million pictures, for a GPU. About 28 a second on 2
    CPU cores (docs/notebook.md); docs/systems.md has settings that give pictures in minutes
    there.
    """
    return RunConfig(
        recipe="gangogh",
        resolution=64,
        labels=("genre",),
        latent=LatentConfig(dim=128),
        generator=NetworkConfig(network="gangogh"),
        discriminator=NetworkConfig(network="gangogh"),
        objective=(
            TermConfig(term="wasserstein"),
            TermConfig(term="gradient_penalty", weight=10),
            TermConfig(term="auxiliary_classifier"),
        ),
        generator_optimiser=AdamConfig(learning_rate=1e-4, betas=(0.5, 0.9)),
        discriminator_optimiser=AdamConfig(learning_rate=1e-4, betas=(0.5, 0.9)),
        training=Training(
            batch=84,
            images=84 * (2_000 + 5 * 200_000),
            discriminator_steps=5,
            pretrain_images=84 * 2_000,
            balance="genre",
        ),
    )


def gangogh_style_genre() -> RunConfig:
    """GANGogh with two one-hot label fields: 'Ukiyo-e' by 'landscape'; either may be unknown.

    Source: the future work of Jones and Bonafilia 2017 (see gangogh): style beside genre as a
    second one-hot vector, so that combinations can be sampled. Batches are balanced by genre, as
    there; styles are as frequent as in the collection.
    Command: impasto train gangogh_style_genre --data masters
    Cost: that of gangogh.
    """
    return change(gangogh(), {"labels": ["style", "genre"]}, recipe="gangogh_style_genre")


def gangogh_128() -> RunConfig:
    """GANGogh in two stages: gangogh at 64 pixels, then a second stage from there to 128.

    Source: the future work of Jones and Bonafilia 2017 (see gangogh): a second GAN of the same
    kind, conditioned on the first one's picture and the label, as in Zhang et al. 2017 (StackGAN,
    arXiv:1612.03242, section 3.3; see networks/stacked.py). The critic, its terms and optimisers
    are gangogh's. The source does not give length and batch; here both are half those of the
    first stage.
    Command: impasto train gangogh_128 --data masters
    Cost: gangogh, and about as much again.
    """
    first = gangogh()
    return change(
        first,
        {
            "resolution": 128,
            "generator.network": "stacked",
            "training.batch": 42,
            "training.images": 42 * (2_000 + 5 * 200_000),
            "training.pretrain_images": 42 * 2_000,
            "first_stage": first.model_dump(mode="json"),
        },
        recipe="gangogh_128",
    )


def gangogh_256() -> RunConfig:
    """GANGogh in two stages, the second one to 256 pixels.

    Source: as gangogh_128; the source names 256 pixels as its goal.
    Command: impasto train gangogh_256 --data masters
    Cost: gangogh, and about four times as much again.
    """
    return change(gangogh_128(), {"resolution": 256, "generator.blocks": 4}, recipe="gangogh_256")


def gangogh_genre_then_style() -> RunConfig:
    """GANGogh in two stages, by genre and then by genre and style, to 256 pixels.

    Source: the future work of Jones and Bonafilia 2017 (see gangogh): stage I separates the
    genres, and stage II is conditioned on the style too, as a second one-hot vector, so that
    combinations such as a Renaissance or an abstract portrait can be sampled. As in gangogh_256
    the critic classifies both fields; in the source it is to be conditioned on the style.
    Stage I is conditioned on first_stage.labels, some of the run's labels. To exchange the two
    fields: --set 'first_stage.labels=[style]' --set first_stage.training.balance=style.
    Command: impasto train gangogh_genre_then_style --data masters; then impasto sample RUN
    --every-class style --class genre=portrait --stages --grid portraits.png
    Cost: that of gangogh_256; at 128 pixels (--set resolution=128 --set generator.blocks=2) that
    of gangogh_128.
    """
    return change(
        gangogh_256(),
        {"labels": ["genre", "style"], "first_stage.labels": ["genre"]},
        recipe="gangogh_genre_then_style",
    )
