"""GANtor v1 and v2 (Avoy Datta and Michael Cai): ArtGAN's parts in two stages, up to 256 pixels."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training
from impasto.settings import change


def _stage_one(field: str) -> RunConfig:
    """Stage I: a 64-pixel picture from a latent and a one-hot label."""
    return RunConfig(
        recipe="gantor_stage_1",
        resolution=64,
        labels=(field,),
        latent=LatentConfig(dim=100),
        generator=NetworkConfig(network="artgan_autoencoder"),
        discriminator=NetworkConfig.model_validate(
            {"network": "artgan_autoencoder", "realness": "head"}
        ),
        objective=(
            TermConfig(term="bce"),
            TermConfig(term="auxiliary_classifier"),
            TermConfig(term="autoencoder", weight=0.5),
        ),
        generator_optimiser=AdamConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
        discriminator_optimiser=AdamConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
        training=Training(batch=64, epochs=80),
    )


def gantor_v2() -> RunConfig:
    """GANtor-v2: genres; stage I makes 64 pixels, stage II 256.

    Source: Avoy Datta and Michael Cai, "GANtor" (Stanford poster), on Tan et al. 2017
    (arXiv:1702.03410) and Zhang et al. 2017 (StackGAN, arXiv:1612.03242).
    As described there: both stages are conditioned on the one-hot genre, stage II on stage I's
    picture too; the discriminator's loss is cross-entropy of real against generated,
    cross-entropy of real pictures' labels, and the reconstruction of real ones; the generator's
    is cross-entropy of generated pictures' labels and their reconstruction; results at 50 to 80
    epochs.
    Where it is silent: networks and reconstruction (weight 0.5) of ArtGAN's published code, with
    a head of its own for real against generated, and a stage II generator like StackGAN's; Adam
    2e-4 (0.5, 0.999) as in ArtGAN's published code for genres, batch 64; 80 epochs.
    The poster's formula gives the generator no adversarial loss. Here it has one, since otherwise
    no term rewards realism. --set objective.bce.only=discriminator (and --set
    first_stage.objective.bce.only=discriminator) is the poster's formula; docs/systems.md has the
    results of both.
    Command: impasto pack WIKIART wikiart-256 --resolution 256 --labels genre; impasto train
    gantor_v2 --data wikiart-256
    Cost: for a GPU; on 2 CPU cores about 13 pictures a second in stage I and 3 to 4 in stage II,
    with 6 GB of memory at batch 64 and 2.3 GB at batch 16 (docs/notebook.md).
    """
    first = _stage_one("genre")
    return change(
        first,
        {
            "resolution": 256,
            "generator.network": "stacked",
            "generator.blocks": 4,
            "first_stage": first.model_dump(mode="json"),
        },
        recipe="gantor_v2",
    )


def gantor_v1() -> RunConfig:
    """GANtor-v1: gantor_v2 with styles in place of genres.

    Source: Datta and Cai (see gantor_v2). The poster's table of results gives stage I of v1 the
    genre; its text says style, which is used here.
    Command: impasto train gantor_v1 --data masters
    Cost: that of gantor_v2.
    """
    return change(
        gantor_v2(), {"labels": ["style"], "first_stage.labels": ["style"]}, recipe="gantor_v1"
    )
