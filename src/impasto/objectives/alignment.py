"""The discriminator's own features of real images are drawn to those of a frozen network.

Source: GAT, GAN transformers (2025, arXiv:2509.24935), its representation alignment. A discriminator
of its own learns from little data what is on a picture; a frozen network knows it. Unlike a projected
discriminator, the generator's gradient does not pass through the frozen network, which costs less.

The source has a trained layer between both; here it is a fixed random projection of the frozen features
to as many channels as the discriminator's. It keeps angles approximately and is drawn from a seed of
its own, so the term has no weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks._frozen_features import CHANNELS, FrozenFeatures
from impasto.objectives import StepInputs
from impasto.resolution import Resolution

_STAGE = 3
"""Of Lite0: stride 16, 112 channels."""


def projection(inputs: int, outputs: int) -> Tensor:
    """A fixed random matrix [inputs, outputs] with orthonormal columns or rows, float32."""
    random = torch.Generator(device="cpu").manual_seed(0)
    values = torch.randn(max(inputs, outputs), min(inputs, outputs), generator=random, device="cpu")
    basis = torch.linalg.qr(values).Q
    return basis if inputs >= outputs else basis.T


class Memory(nn.Module):
    """The frozen network."""

    def __init__(
        self, *, resolution: Resolution, label_sizes: tuple[int, ...], read_at: int
    ) -> None:
        super().__init__()
        del resolution, label_sizes
        self.frozen = FrozenFeatures(read_at)


def discriminator_loss(inputs: StepInputs, memory: Memory, *, read_at: Count = 64) -> Tensor:
    """1 minus the cosine between the discriminator's features of real images and the frozen
    network's, at each position, averaged.

    Args:
        inputs: of the step.
        memory: with the frozen network.
        read_at: side in pixels at which Lite0 reads images.

    Raises:
        ImpastoError: the discriminator gives no features.
    """
    del read_at
    own = inputs.real_judgement.features
    if own is None:
        raise ImpastoError(
            "term 'alignment' needs a discriminator that gives its features, such as r3gan's, lean's or "
            "artgan's"
        )
    with torch.no_grad():
        maps = memory.frozen(inputs.real)[_STAGE]
        maps = F.interpolate(maps, own.shape[-2:], mode="area")
        basis = projection(CHANNELS[16], own.shape[1]).to(own.device)
        wanted = torch.einsum("bchw,cd->bdhw", maps, basis)
    return 1 - F.cosine_similarity(own.float(), wanted, dim=1).mean()
