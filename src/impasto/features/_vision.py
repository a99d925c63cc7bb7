"""What CLIP and DINOv2 share: networks of other packages, which take standardised pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._layers import bicubic, bicubic_in_words


def not_installed(name: str, package: str, error: ImportError) -> ImpastoError:
    """The error of a feature network whose package cannot be imported."""
    return ImpastoError(
        f"{name} needs {package} ({error}); pip install 'impasto[vision]', with a torchvision that "
        "fits your torch"
    )


def of_vision(
    name: str,
    network: nn.Module,
    *,
    width: int,
    weights_sha256: str,
    side: int,
    mean: Sequence[float],
    deviation: Sequence[float],
    device: torch.device,
) -> FeatureNetwork:
    """A network without logits, frozen, as a feature network.

    Args:
        name: of the feature network.
        network: maps images [B, 3, side, side] to features [B, width].
        width: number of its features.
        weights_sha256: of the file of its weights.
        side: side of its input.
        mean: channel means, of pixels in 0..1, that it was trained with.
        deviation: channel standard deviations, of pixels in 0..1, that it was trained with.
        device: device to run on.
    """
    network.eval().requires_grad_(False).to(device)
    middle = 255 * torch.tensor(mean, device=device).view(3, 1, 1)
    scale = 255 * torch.tensor(deviation, device=device).view(3, 1, 1)

    def extract(pixels: Tensor) -> tuple[Tensor, None]:
        return network((bicubic(pixels, side) - middle) / scale), None

    return FeatureNetwork(
        name=name,
        width=width,
        classes=None,
        resize=bicubic_in_words(side),
        weights_sha256=weights_sha256,
        standard=False,
        device=device,
        extract=extract,
    )
