"""The packaged network's weights, and those of a file."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from impasto.enlarging.known import KnownNetwork, read_known
from impasto.enlarging.network import Enlarger
from impasto.enlarging.tiles import check_factor, check_fits, enlarged
from impasto.errors import ImpastoError
from impasto.sampling.tensors import read_metadata, read_tensors

PACKAGED = Path(__file__).parent / "paintings.safetensors"
"""Made by benchmarks/enlarger_model.py; `paintings.json` beside it says from what."""


def read_enlarger(path: Path) -> Enlarger:
    """The network of a file, in evaluation mode on the CPU.

    Raises:
        ImpastoError: the file is missing, damaged, or of another kind.
    """
    tensors = read_tensors(path)
    try:
        sizes = json.loads(read_metadata(path)["enlarger"])
        network = Enlarger(width=int(sizes["width"]), blocks=int(sizes["blocks"]))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise ImpastoError(f"{path} is no enlarging network of impasto") from None
    return network.eval().requires_grad_(False)


@cache
def _packaged() -> Enlarger:
    return read_enlarger(PACKAGED)


def load_enlarger(
    device: torch.device | None = None, weights: Path | None = None
) -> Enlarger | KnownNetwork:
    """A network on a device, by default the CPU.

    Args:
        device: None: the CPU.
        weights: a file, of this network or of one that spandrel knows; None: the packaged one.

    Raises:
        ImpastoError: see `read_enlarger` and `read_known`.
    """
    network = _packaged() if weights is None else _read(weights)
    return network if device is None else network.to(device)


def _read(path: Path) -> Enlarger | KnownNetwork:
    if not path.is_file():
        raise ImpastoError(f"there is no file of weights {path}")
    if path.suffix.lower() == ".safetensors":
        read_tensors(path)  # whether it is whole
        if "enlarger" in read_metadata(path):
            return read_enlarger(path)
    return read_known(path)


def finisher(
    by: int, device: torch.device, weights: Path | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """A function that enlarges batches of images by a network of `load_enlarger`; for `Painter.finish`.

    A CPU takes one image at a time, which is as fast, so that its last bits do not depend on the others.

    Raises:
        ImpastoError: another factor than 2 and 4, or one that the network cannot do; see
            `load_enlarger`.
    """
    check_factor(by)
    network = load_enlarger(device, weights)
    check_fits(network, by)

    def finish(images: np.ndarray) -> np.ndarray:
        parts = torch.tensor(images).split(1 if device.type == "cpu" else max(1, len(images)))
        return torch.cat([enlarged(part, network, by) for part in parts]).numpy()

    return finish
