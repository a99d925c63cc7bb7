"""The loss of a denoiser: how far the picture that it predicts is from the real one.

For generators that denoise (network `flow`). Real pictures x are mixed with noise e to t x + (1 - t) e
at random times t, where 0 is noise and 1 the picture; see `networks/_ode.py`. The logit of t is
normally distributed. `weighting` is the weight of the error at a time, in terms of the noise level
s = (1 - t) / t:

- `velocity`: 1 / max(1 - t, 0.05)^2, so that the loss is the error of the velocity (JiT: Li and He
  2025, arXiv:2511.13720, equation 6 and appendix). Theirs are times of mean -0.8 and deviation 0.8.
- `edm`: (s^2 + d^2) / (s d)^2 with d = 0.5, so that it is the error of what the layers of a network with
  preconditioning `edm` compute (Karras et al. 2022, arXiv:2206.00364, equation 8). EDM2 (Karras et al.
  2024, arXiv:2312.02696) draws ln s with mean -0.4 and deviation 1, which is time_mean 0.4 here.
- `soft_min_snr`: 1 / (s^2 + d^2), which counts little noise less (Crowson et al. 2024,
  arXiv:2401.11605).

The loss does not use generated pictures, so training makes none.
"""

from typing import Literal

import torch
from torch import Tensor

from impasto.config import Finite, Positive, Share
from impasto.errors import ImpastoError
from impasto.networks.flow import SIGMA_DATA
from impasto.objectives import StepInputs
from impasto.objectives._augmentation_labels import augment_with_labels

USES_FAKES = False

Weighting = Literal["velocity", "edm", "soft_min_snr"]


def weights(time: Tensor, weighting: Weighting) -> Tensor:
    """The weight of the error at each time: [B] for times [B] in (0, 1)."""
    if weighting == "velocity":
        return (1 - time).clamp(min=0.05) ** -2
    noise, picture = (1 - time) ** 2, (SIGMA_DATA * time) ** 2
    if weighting == "edm":
        return (noise + picture) / (SIGMA_DATA**2 * noise)
    return time**2 / (noise + picture)


def generator_loss(
    inputs: StepInputs,
    *,
    weighting: Weighting = "velocity",
    time_mean: Finite = -0.8,
    time_deviation: Positive = 0.8,
    augment: Share = 0.0,
) -> Tensor:
    """The mean of weight(t) (x - denoised(t x + (1 - t) e))^2 over real pictures, channels and pixels.

    Args:
        inputs: the step's inputs.
        weighting: see above.
        time_mean: mean of the logit of t.
        time_deviation: standard deviation of the logit of t.
        augment: probability of each kind of augmentation (mirroring, scaling, rotation, stretching,
            shifting), 0 to 1. The denoiser gets them as labels, so that it does not make such pictures
            when sampling.

    Raises:
        ImpastoError: the generator does not denoise, or latents of an autoencoder are to be augmented.
    """
    if inputs.denoise is None:
        raise ImpastoError(
            "term 'flow' needs a generator that denoises: choose network flow for it, or leave this "
            "term out"
        )
    if augment and inputs.real.shape[1] != 3:
        raise ImpastoError(
            "objective.flow.augment changes pictures, and with an autoencoder the generator learns from "
            "latents: set it to 0; training.mirror does encode mirrored pictures"
        )
    images, values = (
        (inputs.real, None) if augment == 0 else augment_with_labels(inputs.real, augment)
    )
    logits = time_mean + time_deviation * torch.randn(len(images), device=images.device)
    time = logits.sigmoid()
    t = time[:, None, None, None]
    noisy = torch.lerp(torch.randn_like(images), images, t)
    denoised = inputs.denoise(noisy, time, inputs.real_labels, values)
    errors = (denoised - images).square().mean(dim=(1, 2, 3))
    return (weights(time, weighting) * errors).mean()
