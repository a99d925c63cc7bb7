"""What several processes would make of a recipe, calculated from what one step sends and computes.

    python -m benchmarks.scaling [RECIPE ...] [--portion 32] [--device-tflops 300] [--launch 6]

Measured, in steps of two portions of 4 pictures on this machine: the bytes that a process adds up with
others (`processes.Processes.sum`), the arithmetic operations of matrix products and convolutions (as
torch counts them, forward and backward), and the number of torch's operations. Calculated, for one
portion a process:

    compute = max(operations / (device-tflops x 10^12), torch's operations x launch)
    sending = 2 x bytes x (n - 1) / n / bandwidth + 2 x updates x log2(n) x latency
    efficiency = compute / (compute + sending)

The bandwidths are of one process: 300 GB/s within a node (NVLink), 400 Gb/s InfiniBand or 10 Gb/s
Ethernet a node of 8 processes. Sending is taken to wait for computing to end, as it does in impasto.
None of these figures was measured on a GPU: they say what to expect, and what bounds it.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._command import run
from impasto.collection import Collection, open_or_pack
from impasto.config import RunConfig
from impasto.processes import Processes
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session

LINKS = {
    "8 in one node": (8, 300e9, 10e-6),
    "8 nodes, InfiniBand": (64, 400e9 / 8 / 8, 20e-6),
    "8 nodes, 10 GbE": (64, 10e9 / 8 / 8, 50e-6),
}
"""By name: processes, bytes a second of one of them, seconds of latency."""


_PICTURES = 4
"""In a portion that is measured."""


@dataclass(frozen=True)
class Counting(Processes):
    """One process that notes how much it would send."""

    sizes: list[int] = field(default_factory=list)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        self.sizes.append(sum(4 * tensor.numel() for tensor in tensors))
        return list(tensors)


class Operations(TorchDispatchMode):
    """Counts torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


@dataclass(frozen=True)
class StepCost:
    """Of one portion in one step."""

    sent: int
    """Bytes that are added up with other processes."""
    updates: int
    arithmetic: float
    operations: int


def measured(config: RunConfig, collection: Collection, portion: int) -> StepCost:
    """What one portion of a step sends and computes."""
    two = {"training.batch": 2 * _PICTURES, "training.accumulate": 2}
    processes = Counting()
    session = Session(
        resolve(change(config, two), collection), collection, torch.device("cpu"), processes
    )
    session.state.images_seen = config.training.pretrain_images
    session.trainer.step()
    processes.sizes.clear()
    with FlopCounterMode(display=False) as counter:
        session.trainer.step()
    sizes = list(processes.sizes)
    with Operations() as operations:
        session.trainer.step()
    # A process with one portion does not make the generator's images again; the difference is left in.
    return StepCost(
        sum(sizes),
        len(sizes),
        counter.get_total_flops() / 2 * portion / _PICTURES,
        operations.count // 2,
    )


def efficiency(
    cost: StepCost, count: int, bandwidth: float, latency: float, tflops: float, launch: float
) -> float:
    """The share of the time of a step that computing takes."""
    compute = max(cost.arithmetic / (tflops * 1e12), cost.operations * launch * 1e-6)
    sending = 2 * cost.sent * (count - 1) / count / bandwidth
    sending += 2 * cost.updates * math.log2(count) * latency
    return compute / (compute + sending)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=["flagship_64", "flagship_256", "r3gan_64"])
    parser.add_argument("--portion", type=int, default=32)
    parser.add_argument("--device-tflops", type=float, default=300)
    parser.add_argument("--launch", type=float, default=6, help="microseconds an operation")
    given = parser.parse_args()
    print("| recipe | GFLOP a picture | torch operations | MB a step | bound by", *LINKS, sep=" | ")
    for name in given.recipes:
        config = load_recipe(name)()
        collection = open_or_pack("masters", config.resolution)
        cost = measured(config, collection, given.portion)
        arithmetic = cost.arithmetic / (given.device_tflops * 1e12)
        bound = "launches" if cost.operations * given.launch * 1e-6 > arithmetic else "arithmetic"
        shares = [
            f"{efficiency(cost, *link, given.device_tflops, given.launch):.0%}"
            for link in LINKS.values()
        ]
        pictures = given.portion * config.training.discriminator_steps
        numbers = f"{cost.arithmetic / pictures / 1e9:.1f}", f"{cost.operations:,}"
        print(
            "|",
            " | ".join([name, *numbers, f"{cost.sent / 1e6:.1f}", bound, *shares]),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    run(main)
