"""Super-resolution networks of others, whose weights the user has: spandrel knows them by their tensors.

Nothing in a file is executed: it is safetensors, or is read by torch's loader for weights only, which
refuses pickles with anything but tensors.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file
from impasto.sampling.tensors import read_tensors

REACH = 32
"""Pixels of the input around a tile that such a network is shown. It may look further, but what is as
far away hardly changes a pixel."""
_WINDOW = 16
"""Side of the windows of attention, or a multiple of it; spandrel does not tell."""


class KnownNetwork(nn.Module):
    """A network that spandrel made: images [B, 3, H, W] in [-1, 1] to images `factor` times as large.

    Args:
        found: spandrel's description of the network, with weights.
    """

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found
        self.network: nn.Module = found.model
        self.factor = int(found.scale)
        self.reach = REACH
        self.multiple = math.lcm(_WINDOW, int(found.size_requirements.multiple_of))

    def forward(self, images: Tensor) -> Tensor:
        # Spandrel's networks take one picture at a time, in [0, 1].
        made = [self.found((image[None] + 1) / 2) for image in images]
        return torch.cat(made) * 2 - 1


def read_known(path: Path) -> KnownNetwork:
    """The network of a file, in evaluation mode on the CPU.

    Raises:
        ImpastoError: spandrel is not installed or does not know the network, the file is missing,
            damaged or holds more than tensors, or the network does not enlarge colour pictures.
    """
    try:
        import spandrel
    except (ImportError, RuntimeError) as error:  # torchvision of another torch: RuntimeError
        raise ImpastoError(
            f"weights of other networks need spandrel ({error}): pip install 'impasto[enlarge]', with a "
            "torchvision that goes with your torch"
        ) from None
    state = spandrel.canonicalize_state_dict(_tensors(path))
    try:
        found = spandrel.ModelLoader().load_from_state_dict(state)
    except spandrel.UnsupportedModelError:
        raise ImpastoError(
            f"{path} is of no network that spandrel {spandrel.__version__} knows"
        ) from None
    except Exception as error:  # it guesses a network by some of its tensors; others may not fit
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ImpastoError(f"spandrel cannot make a network of {path}: {reason}") from error
    name = f"{path} (a network {found.architecture.name})"
    if found.purpose != "SR" or found.scale < 2:
        raise ImpastoError(f"{name} does not enlarge pictures; give one for super-resolution")
    if (found.input_channels, found.output_channels) != (3, 3):
        raise ImpastoError(f"{name} takes pictures of {found.input_channels} channels, not of 3")
    return KnownNetwork(found).eval().requires_grad_(False)


def _tensors(path: Path) -> dict[str, Any]:
    """What a file of weights holds: tensors by name, perhaps a level deeper."""
    if path.suffix.lower() == ".safetensors":
        return dict(read_tensors(path))
    refuse_pointer_file(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception:  # damaged files make torch raise nearly anything
        raise ImpastoError(
            f"{path} is damaged, or holds more than tensors, which could run any code when loaded; give "
            "weights as safetensors, or as a file that torch.load(weights_only=True) reads"
        ) from None
    if not isinstance(found, dict):
        raise ImpastoError(f"{path} holds no tensors by name, so it is no file of weights")
    return found
