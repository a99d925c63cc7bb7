"""Device, number format and memory format of networks, for training and sampling."""

import contextlib
import os
import platform
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.processes import placed

PRECISIONS = ("auto", "float32", "bfloat16")
"""What `training.precision` and `sample --precision` may be."""


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Of several processes on one machine (torchrun sets LOCAL_RANK), `auto` and `cuda` give each its own
    GPU, in turn. A GPU with a number becomes torch's current one. Float32 products on a GPU are IEEE
    from then on; see `set_up_training` for the exception.

    Raises:
        ImpastoError: this machine has no such device; the message lists the available ones.
    """
    available = ["cpu"]
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    wanted = available[0] if name == "auto" else name
    # Torch accepts any number after `cpu:`, but there is only one CPU device.
    if wanted.partition(":")[0] not in available or wanted.startswith("cpu:"):
        raise ImpastoError(f"no device '{name}' on this machine; there is {', '.join(available)}")
    try:
        device = torch.device(wanted)
        rank = _local_rank()
        if wanted == "cuda" and rank is not None:
            device = torch.device("cuda", rank % torch.cuda.device_count())
        torch.empty(1, device=device)
    except RuntimeError as error:
        raise ImpastoError(f"no device '{name}' on this machine: {error}") from error
    if device.type == "cuda":
        if device.index is not None:
            # Pinned memory and streams belong to the current device.
            torch.cuda.set_device(device)
        _allow_tf32(False)
    return device


def _local_rank() -> int | None:
    """The number of this process on its machine, as torchrun or srun sets it; None for a single process.

    Raises:
        ImpastoError: LOCAL_RANK is no such number.
    """
    text = os.environ.get("LOCAL_RANK")
    if text is not None and not text.isdecimal():
        raise ImpastoError(
            f"LOCAL_RANK in the environment is '{text}'; it must be the number of this process on "
            "its machine, from 0"
        )
    if text is not None:
        return int(text)
    here = placed(os.environ)
    return here.local_rank if here.count > 1 else None


def _allow_tf32(allowed: bool) -> None:
    """Whether float32 products on CUDA may keep only 10 of 23 bits of each factor (TF32)."""
    # By torch's older names, because its newer ones (fp32_precision) are not in every release that
    # impasto takes, and torch refuses a mixture of both.
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def set_up_training(device: torch.device, precision: str) -> None:
    """Choose how a GPU computes for a training with this `training.precision`.

    In mixed precision, products that stay float32 may use TF32. With `float32` they are IEEE. cuDNN
    tries its algorithms at the first batch of each shape and keeps the fastest.
    """
    if device.type == "cuda":
        _allow_tf32(numbers(device, precision) == "bfloat16")
        torch.backends.cudnn.benchmark = True


def wait_for(device: torch.device) -> None:
    """Wait until the device has computed all that it was given. Without this, a clock measures only
    how long it took to ask for it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def on_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors on the CPU. Their device is waited for once, not for each of them."""
    copies = [tensor.detach().to("cpu", non_blocking=True) for tensor in tensors]
    for device in {tensor.device for tensor in tensors}:
        wait_for(device)
    return copies


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


def check_precision(precision: str) -> None:
    """Raises: ImpastoError: no precision of this name."""
    if precision not in PRECISIONS:
        raise ImpastoError(f"a precision is {', '.join(PRECISIONS)}, not '{precision}'")


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
    on_cuda = device.type == "cuda"
    # Which GPU a process of several has is LOCAL_RANK's affair, also when the run is resumed.
    several = on_cuda and _local_rank() is not None
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type if several else str(device),
        "precision": numbers(device, precision),
        "float32_products": "tf32" if on_cuda and torch.backends.cudnn.allow_tf32 else "ieee",
        "accelerator": torch.cuda.get_device_name(device) if on_cuda else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
