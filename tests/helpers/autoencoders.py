"""Shared by several tests: random_halves, write_weights, AUTOENCODER."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from impasto.networks.taesd import Autoencoder, Half, Variant

HALVES: tuple[Half, Half] = ("encoder", "decoder")


def random_tensors(variant: Variant, half: Half, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of one half of an autoencoder, float16 as the published ones."""
    torch.manual_seed(seed)
    network: Any = Autoencoder(variant=variant)._built(half)
    tensors = {}
    for name, tensor in network.layers.state_dict().items():
        # Larger than torch's, or everything would be all but constant.
        tensors[name] = (tensor * 1.5 if tensor.ndim > 1 else tensor).half()
    return tensors


def write_weights(folder: Path, variant: Variant = "taesd", seed: int = 0) -> dict[str, Any]:
    """Random weights of both halves in files of a folder; gives the settings that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"network": "taesd", "variant": variant}
    for half in HALVES:
        path = folder / f"{half}.safetensors"
        safetensors.torch.save_file(random_tensors(variant, half, seed), path)
        settings[half] = str(path)
    return settings
