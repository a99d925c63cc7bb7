"""polish: go on from a finished model with terms of frozen features."""

from typing import Any

from impasto.config import RunConfig
from impasto.recipes.flagship import flagship_64
from impasto.recipes.flow import flow_64
from impasto.settings import change


def polish_64() -> RunConfig:
    """A finished generator goes on with a small rate until its moments are those of real pictures.

    Source: FD-Loss (2026, arXiv:2604.28190), which post-trains generators so, with several feature
    networks, rates of 1e-6 to 1e-5 and 64 million pictures. Here for minutes of a CPU: features of
    Lite0 and averaged pixels, a moving average of few batches (`decay`), and a rate that falls,
    because that average lags behind the generator.
    For any generator of 64 pixels: the generator, its latent and the label fields are those of the
    model of `--from` (`from_model`). There is no discriminator. If one is set, with its optimiser and
    an adversarial term, the model's takes its place where it has one.
    Command: impasto train polish_64 --data masters --from masters
    Cost: 20,000 images take 1.6 minutes of one CPU core that multiplies bfloat16 (208 a second, with
    the flagship's generator). A flow model is slower by its steps. Of the shipped model, 10,432
    images changed little: the distance of averaged pixels fell from 1.9 to 1.4, those by two
    networks that were not trained on rose by 3 and 4% (500 pictures, one seed).
    """
    settings = {
        **_frechet(rate=1e-4, images=20_000),
        "training.augment": None,
        "training.batch": 64,
        "discriminator": None,
        "discriminator_optimiser": None,
    }
    return change(flagship_64(), settings, "polish_64")


def flow_64_one_step() -> RunConfig:
    """A finished flow model learns to make its pictures in one step.

    Source: FD-Loss (2026, arXiv:2604.28190), which turns generators of several steps into ones of one
    step so; settings as in `polish_64`. The picture of a latent stays much the same, and gains the
    contrast and detail that a single step of the flow lacks.
    The network is that of the model of `--from`, of any size (`from_model`). The gradient goes through
    all steps: `--set generator.steps=4` is for four, at four times the cost.
    Command: impasto train flow_64_one_step --data masters --from RUN
    Cost: 20,000 images take 3 minutes of one CPU core that multiplies bfloat16 (115 a second).
    Of a flow of 130,000 images by style, one minute (6,912 images) brought the Fréchet distance by a
    network that was not trained on (MobileNetV2 of nsfwjs, 300 pictures) from 264 to 34; in its own 16
    steps that flow has 51. By Lite1 it is 206, against 282 and 192, and the distance of averaged
    pixels 16, against 23 and 4.5: layout suffers.
    """
    settings = {
        **_frechet(rate=1e-4, images=20_000),
        "generator.steps": 1,
        "generator.sampler": "euler",
        "training.hide_labels": 0,
    }
    return change(flow_64(), settings, "flow_64_one_step")


def _frechet(*, rate: float, images: int) -> dict[str, Any]:
    """The term `frechet` alone, and a rate that falls to a hundredth of `rate` during a run."""
    return {
        "from_model": True,
        "objective": [{"term": "frechet", "decay": 0.95}],
        "generator_optimiser.learning_rate": {"start": rate, "end": rate / 100, "images": images},
        "generator_optimiser.betas": (0.0, 0.99),
        "training.images": images,
        "training.ema_half_life": 1_000,
        "training.ema_rampup": None,
        "training.samples_every": None,
    }
