"""Where networks run, in which number format and memory order; for training and sampling alike."""

import contextlib
import os
import platform
from typing import Any

import torch

from impasto.errors import ImpastoError


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        ImpastoError: no such device on this machine; the message lists those there are.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if name == "auto":
        return torch.device(there[0])
    # Torch takes any number after `cpu:` and computes on the one CPU all the same.
    if name.partition(":")[0] not in there or name.startswith("cpu:"):
        raise ImpastoError(f"no device '{name}' on this machine; there is {', '.join(there)}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except RuntimeError as error:
        raise ImpastoError(f"no device '{name}' on this machine: {error}") from error
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16: CUDA's from Ampere on, CPUs with
    AVX512-BF16 or AMX. Elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # Torch has no public way to ask; a release without these names is one that cannot tell.
        asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in asked)
    return False


def numbers(device: torch.device, precision: str) -> str:
    """`bfloat16` or `float32`: what networks compute in where `training.precision` is this."""
    if precision == "auto":
        return "bfloat16" if multiplies_bfloat16(device) else "float32"
    return precision


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The mixed precision that `training.precision` means on this device."""
    if numbers(device, precision) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def memory_format(device: torch.device, channels_last: bool) -> torch.memory_format:
    """Channels-last pays on CPUs and on tensor cores; on MPS it is left alone."""
    if channels_last and device.type in ("cpu", "cuda"):
        return torch.channels_last
    return torch.contiguous_format


def set_threads(threads: int) -> None:
    """Use `threads` CPU threads. Sums are split by thread, so results repeat bit for bit only with
    as many threads as before; a resumed run takes the number it began with."""
    torch.set_num_threads(threads)


def machine_record(device: torch.device, precision: str) -> dict[str, Any]:
    """What `run.json` says of the machine, and of what `training.precision` means on it: enough to
    judge a time, nothing private."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "precision": numbers(device, precision),
        "accelerator": accelerator,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
