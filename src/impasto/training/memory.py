"""Check that a run fits into memory, before it begins and when memory runs out."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config import RunConfig
from impasto.device import numbers
from impasto.errors import ImpastoError, lacks_memory
from impasto.formatting import readable_size
from impasto.resolution import area
from impasto.training.resolve import rehearse

_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Linux's files with a container's memory limit, cgroup version 2 and 1."""
_USABLE = 0.6
"""Share of the memory for a suggested batch; the rest is for what the estimate leaves out."""
_SURE = 2.5
"""The estimate is 1.1 to 2.3 times the measured memory, by recipe; a step is refused if it exceeds
the available memory by this factor."""
_TIMES_PICTURES = (64, 6_000)
"""Bounds of a step's memory, in multiples of the memory of its pictures. Measured: the leanest recipe
about 80, R3GAN with its penalties about 7,000."""


class _Held:
    """A tensor saved for a backward pass, counted while it is alive."""

    def __init__(self, tensor: Tensor, counter: "_Counter") -> None:
        self.tensor, self.counter = tensor, counter
        self.storage = tensor.untyped_storage()
        counter.add(self.storage, 1)

    def __del__(self) -> None:
        self.counter.add(self.storage, -1)


class _Counter:
    """The bytes of all live storages, each counted once, and the peak."""

    def __init__(self) -> None:
        self.holders: dict[int, int] = {}
        self.bytes = self.most = 0

    def add(self, storage: torch.UntypedStorage, count: int) -> None:
        place = storage._cdata
        before = self.holders.get(place, 0)
        self.holders[place] = before + count
        if not before or not before + count:
            self.bytes += count * storage.nbytes()
            self.most = max(self.most, self.bytes)
        if not self.holders[place]:
            del self.holders[place]


def graph_bytes(config: RunConfig, label_sizes: tuple[int, ...]) -> int:
    """The bytes that a step's pass saves for its backward pass, in float32.

    It is computed on torch's meta device, which uses no memory. It approximates a step's memory:
    gradients and optimisers are left out, but memory that a real step frees earlier is included.
    """
    counter = _Counter()

    def pack(tensor: Tensor) -> _Held:
        return _Held(tensor, counter)

    def unpack(held: Any) -> Tensor:
        tensor: Tensor = held.tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        rehearse(config, label_sizes)
    return counter.most


def memory_of(device: torch.device) -> int | None:
    """The total memory of a device in bytes; None if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    for path in _CGROUP:
        with contextlib.suppress(OSError, ValueError):  # `max` without a limit.
            found.append(int(path.read_text()))
    return min(found)


def require_memory(
    config: RunConfig, label_sizes: tuple[int, ...], device: torch.device, *, careful: bool
) -> None:
    """Check, without allocating it, that a step does not need far more memory than available: running
    out of memory may kill the process.

    Args:
        config: of the run.
        label_sizes: classes of each label field.
        device: device of the run.
        careful: compute the estimate, which takes up to seconds, if a heavy recipe might need too
            much; otherwise only if the leanest does.

    Raises:
        ImpastoError: it does.
    """
    there = memory_of(device)
    if there is None:
        return
    pictures = 3 * area(config.resolution) * 4 * config.training.batch // config.training.accumulate
    if pictures * _TIMES_PICTURES[careful] < there:
        return
    needed = _needed_bytes(config, label_sizes, device)
    if needed > _SURE * there:
        raise _too_little(config, needed, there)


@contextlib.contextmanager
def explain_out_of_memory(
    config: RunConfig, label_sizes: tuple[int, ...], device: torch.device
) -> Iterator[None]:
    """Turn running out of memory in the block into an error that says how much is needed and what to
    set.

    Raises:
        ImpastoError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        raise _too_little(
            config, _needed_bytes(config, label_sizes, device), memory_of(device)
        ) from error


def _needed_bytes(config: RunConfig, label_sizes: tuple[int, ...], device: torch.device) -> int:
    """The estimate of `graph_bytes`, halved where the device computes in bfloat16."""
    halved = numbers(device, config.training.precision) == "bfloat16"
    return graph_bytes(config, label_sizes) // (2 if halved else 1)


def _too_little(config: RunConfig, needed: int, there: int | None) -> ImpastoError:
    batch, accumulate = config.training.batch, config.training.accumulate
    portion = batch // accumulate
    of = f"a batch of {batch:,}" if accumulate == 1 else f"a portion of {portion:,}"
    has = "" if there is None else f", and there is {readable_size(there)}"
    fits = portion if there is None else int(portion * _USABLE * there / max(needed, 1))
    fits = min(fits, portion // 2)
    if fits < 2:
        what = "take a recipe of a smaller resolution, or narrower networks"
    else:
        smaller = 2 ** (fits.bit_length() - 1) * accumulate
        portions = next(n for n in range(1, batch + 1) if not batch % n and batch // n <= fits)
        what = (
            f"set a smaller batch, such as --set training.batch={smaller}, or split it with --set "
            f"training.accumulate={portions}"
        )
    return ImpastoError(
        f"not enough memory at {config.resolution} pixels: {of} needs some "
        f"{readable_size(needed)} a step{has}; {what}"
    )
