"""Japanese-art DCGAN, versions 1 to 3 (Daniel Gao and Edward Qin), each defined by its difference
to another. Their 2,235 pictures are the Japanese part of WikiArt, squashed to 64x64."""

from impasto.config import AdamConfig, LatentConfig, NetworkConfig, RunConfig, TermConfig
from impasto.config import TrainingConfig as Training
from impasto.settings import change


def ukiyoe_dcgan_v1() -> RunConfig:
    """Japanese-art DCGAN, version 1: PyTorch's DCGAN tutorial with Adam at 5e-4, 300 epochs.

    Source: Daniel Gao and Edward Qin, "Japanese Art DCGAN" (project page), section Version 1.
    As described there: latent 100, five layers in each network, batch norm, ReLU and LeakyReLU,
    Tanh and sigmoid, pictures squashed to 64x64, batch 128, Adam 5e-4 with beta1 0.5, 300 epochs.
    Published result: losses diverge after about 2,000 iterations, spikes after 2,500; landscapes
    recognisable, no faces.
    Command: impasto pack PICTURES ukiyoe-64 --fit squash; impasto train ukiyoe_dcgan_v1 --data
    ukiyoe-64
    Cost: 300 epochs of their 2,235 pictures are 670,500 pictures, about 90 minutes on 2 CPU cores
    (125 pictures a second, docs/notebook.md).
    """
    return RunConfig(
        recipe="ukiyoe_dcgan_v1",
        resolution=64,
        latent=LatentConfig(dim=100),
        generator=NetworkConfig(network="dcgan"),
        discriminator=NetworkConfig(network="dcgan"),
        objective=(TermConfig(term="bce"),),
        generator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.5, 0.999)),
        discriminator_optimiser=AdamConfig(learning_rate=5e-4, betas=(0.5, 0.999)),
        training=Training(batch=128, epochs=300),
    )


def ukiyoe_dcgan_v2() -> RunConfig:
    """Japanese-art DCGAN, version 2: version 1 with smoothed labels and a LeakyReLU generator.

    Source: Daniel Gao and Edward Qin, "Japanese Art DCGAN" (project page), section Version 2.
    As described there: version 1, but with labels from [0, 0.3] and [0.7, 1] instead of 0 and 1,
    LeakyReLU in the generator too, stopped at 100 epochs.
    Published result: lower losses, which diverge after 500 iterations; all pictures with the same
    blur and checkerboard.
    The page gives ranges, not how a label is drawn from them. Here it is drawn uniformly for each
    picture in every discriminator update.
    Command: impasto train ukiyoe_dcgan_v2 --data ukiyoe-64
    Cost: a third of version 1.
    """
    return change(
        ukiyoe_dcgan_v3(),
        {"generator.activation": "leaky_relu", "training.epochs": 100},
        recipe="ukiyoe_dcgan_v2",
    )


def ukiyoe_dcgan_v3() -> RunConfig:
    """Japanese-art DCGAN, version 3: version 1 with smoothed labels, 400 epochs.

    Source: Daniel Gao and Edward Qin, "Japanese Art DCGAN" (project page), section Version 3.
    As described there: version 1, but with labels from [0, 0.3] and [0.7, 1]; the generator keeps
    its ReLU; 400 epochs.
    Published result: losses diverge less and later, some spikes after 6,000 iterations; more
    structure than in the other versions.
    Command: impasto train ukiyoe_dcgan_v3 --data ukiyoe-64
    Cost: four thirds of version 1.
    """
    return change(
        ukiyoe_dcgan_v1(),
        {
            "objective.bce.real_labels": [0.7, 1.0],
            "objective.bce.fake_labels": [0.0, 0.3],
            "training.epochs": 400,
        },
        recipe="ukiyoe_dcgan_v3",
    )
