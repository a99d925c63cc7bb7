"""Frozen feature networks, which map pixels to features: one file each, found by its name.

Shapes: B images of H x W pixels, D features, K classes.

Every file has `load(*, weights, device) -> FeatureNetwork`. Weights are named tensors
(safetensors, or what `torch.load(weights_only=True)` accepts). Nothing in a file is ever
executed.

A network is identified by the SHA-256 of its weights and by its resize rule. A score's name
contains its network's name, so that scores of different networks never share a name.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.device import choose_device, on_cpu
from impasto.errors import ImpastoError
from impasto.formatting import comma_separated
from impasto.registry import load_module

__all__ = ["Extracted", "FeatureNetwork", "load_network", "load_networks"]

# The literature's names of these scores, for the network with the standard weights.
_STANDARD_NAMES = {"fd": "fid", "kid": "kid", "is": "is"}

# Images at a time, which bounds the memory. On a CPU small batches are fastest: they fit its cache.
_BATCH = 64
_CPU_BATCH = 8

Extract = Callable[[Tensor], tuple[Tensor, Tensor | None]]


class Extracted(NamedTuple):
    """A network's output for a batch."""

    features: Tensor
    """[B, D] float32 on the CPU."""
    logits: Tensor | None
    """[B, K] float32 on the CPU, or None if the network does not classify."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network with its weights."""

    name: str
    """The name of its file in `features/`, such as `lite0`."""
    width: int
    """D."""
    classes: int | None
    """K, or None if it has no logits."""
    resize: str
    """A text that describes how images are resized for the network. It is part of every record."""
    weights_sha256: str
    """SHA-256 of the weights file."""
    standard: bool
    """Whether these are the weights of the FID literature."""
    device: torch.device
    extract: Extract = field(repr=False, compare=False)
    """(uint8 [b, H, W, 3] on `device`) -> (features [b, D], logits [b, K] or None)."""

    @property
    def identity(self) -> str:
        """64 hexadecimal digits, different for networks whose features may differ."""
        text = "\n".join((self.name, self.weights_sha256, self.resize))
        return hashlib.sha256(text.encode()).hexdigest()

    def score_name(self, score: str) -> str:
        """The full name of a score: `fd` is `fd-lite0`, `fd-infinity` is `fd-lite0-infinity`.

        Only for Inception with the standard weights, `fd`, `kid` and `is` are the literature's
        `fid`, `kid` and `is`.
        """
        kind, dash, rest = score.partition("-")
        if self.standard and kind in _STANDARD_NAMES:
            return _STANDARD_NAMES[kind] + dash + rest
        return f"{kind}-{self.name}{dash}{rest}"

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Extracted:
        """Compute features and logits.

        Args:
            pixels: uint8 images [B, H, W, 3], on any device.

        Raises:
            ValueError: not uint8 [B, H, W, 3].
        """
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
            shape = list(pixels.shape)
            raise ValueError(f"pictures must be uint8 [B, H, W, 3], not {pixels.dtype} {shape}")
        batch = _CPU_BATCH if self.device.type == "cpu" else _BATCH
        features = [torch.empty(0, self.width, device=self.device)]
        logits = [torch.empty(0, self.classes or 0, device=self.device)]
        # TF32 keeps 10 of 23 bits in matrix products, which is too inexact for comparable scores.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for first in range(0, len(pixels), batch):
                part = pixels[first : first + batch].to(self.device)
                values, class_logits = self.extract(part)
                features.append(values.float())
                if class_logits is not None:
                    logits.append(class_logits.float())
        all_features, all_logits = on_cpu([torch.cat(features), torch.cat(logits)])
        return Extracted(all_features, all_logits if len(logits) > 1 else None)


def load_network(
    name: str, *, weights: str | None = None, device: torch.device | str = "cpu"
) -> FeatureNetwork:
    """Load the feature network in `features/NAME.py`.

    Args:
        name: such as `lite0`.
        weights: a file or a URL. By default the network's published weights: from where they are
            installed, from the cache, or downloaded into the cache.
        device: device to run on; see `device.choose_device`.

    Raises:
        ImpastoError: an unknown name (the message lists the valid ones), missing weights (it
            names the file, its source and where to save it), or a file with other contents.
    """
    module = load_module("features", name, "feature network")
    if not isinstance(device, torch.device):
        device = choose_device(device)
    network: FeatureNetwork = module.load(weights=weights, device=device)
    return network


def load_networks(
    names: str | Sequence[str],
    weights: Mapping[str, str | Path] | None = None,
    *,
    device: torch.device | str = "cpu",
) -> list[FeatureNetwork]:
    """Load several feature networks.

    Args:
        names: a sequence of names, or a text such as `lite0,inception`.
        weights: a file or a URL for some of the networks; see `load_network`.
        device: device to run on.

    Raises:
        ImpastoError: no network, an unknown one, or weights of a network that is not in `names`.
    """
    wanted = list(
        dict.fromkeys(comma_separated(names if isinstance(names, str) else ",".join(names)))
    )
    if not wanted:
        raise ImpastoError("--features names no network; the offline one is lite0")
    given = {name: str(source) for name, source in (weights or {}).items()}
    for name in given:
        if name not in wanted:
            raise ImpastoError(
                f"--weights takes NETWORK=FILE for a network of --features ({', '.join(wanted)}), "
                f"not '{name}={given[name]}'"
            )
    return [load_network(name, weights=given.get(name), device=device) for name in wanted]
