"""Device, number format and memory format of networks, for training and sampling."""

import contextlib
import os
import platform
from typing import Any

import torch

from impasto.errors import ImpastoError


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        ImpastoError: this machine has no such device; the message lists the available ones.
    """
    available = ["cpu"]
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if name == "auto":
        return torch.device(available[0])
    # Torch accepts any number after `cpu:`, but there is only one CPU device.
    if name.partition(":")[0] not in available or name.startswith("cpu:"):
        raise ImpastoError(f"no device '{name}' on this machine; there is {', '.join(available)}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except RuntimeError as error:
        raise ImpastoError(f"no device '{name}' on this machine: {error}") from error
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products: CUDA from Ampere on, CPUs with
    AVX512-BF16 or AMX. Other devices emulate them, which is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # Torch has no public function for this. In a release without these names the answer is False.
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in names)
    return False


def numbers(device: torch.device, precision: str) -> str:
    """`bfloat16` or `float32`: the number format of networks for this `training.precision`."""
    if precision == "auto":
        return "bfloat16" if multiplies_bfloat16(device) else "float32"
    return precision


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context manager of mixed precision for this `training.precision` and device."""
    if numbers(device, precision) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def memory_format(device: torch.device, channels_last: bool) -> torch.memory_format:
    """The memory format of maps: channels last on CPUs and CUDA if wanted, otherwise contiguous."""
    if channels_last and device.type in ("cpu", "cuda"):
        return torch.channels_last
    return torch.contiguous_format


def set_threads(threads: int) -> None:
    """Use `threads` CPU threads.

    Sums are divided among threads, so results are equal bit for bit only with the same number. A
    resumed run uses the number of its start.
    """
    torch.set_num_threads(threads)


def machine_record(device: torch.device, precision: str) -> dict[str, Any]:
    """The machine's entry in `run.json`: what a speed depends on, without private data.

    Args:
        device: the run's device.
        precision: `training.precision`.
    """
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
