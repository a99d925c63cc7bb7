"""Where the time of training goes, and how near its arithmetic comes to what the machine can do.

    python -m benchmarks.training_profile [--data masters] [--seconds 5] [--rounds 5] [--threads 1]
        [--device cpu] RECIPE[:NAME=VALUE[,NAME=VALUE...]] ...

Of each recipe: images a second, and the share of the machine's matrix-product ceiling that its
arithmetic comes to (matrix products and convolutions of whole steps, forward and backward, as torch
counts them). Both are medians over rounds that alternate between the recipes and the ceiling, so that
a neighbour's load falls on all of them; every stretch lasts `--seconds`: CPU-seconds with one thread
on a CPU, else those of the clock. Then, from a stretch of its
own, what each part of a step takes: parts do not overlap and sum to the whole step.
"""

import argparse
import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks._command import run
from benchmarks.time_to_quality import parse_entry
from impasto.collection import open_or_pack
from impasto.device import choose_device, numbers
from impasto.objectives import StepInputs
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session

REST = "rest of a step"


class Stopwatch:
    """Seconds by part, each without the parts inside it.

    Args:
        now: the time in seconds; waits for the device first, where it computes on its own.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._now = now
        self._inside: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done meanwhile is `name`, and no more what is around it."""
        self._count()
        self._inside.append(name)
        try:
            yield
        finally:
            self._count()
            self._inside.pop()

    def _count(self) -> None:
        now = self._now()
        if self._inside:
            name = self._inside[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def timed(self, function: Callable, name: str | Callable[..., str]) -> Callable:
        """`function` as the part `name`, or what `name` makes of its arguments."""

        def call(*args: Any, **options: Any) -> Any:
            with self.part(name if isinstance(name, str) else name(*args, **options)):
                return function(*args, **options)

        return call


class Operations(TorchDispatchMode):
    """Counts, by torch's own formulas, what is multiplied and added meanwhile. (Its `FlopCounterMode`
    follows modules as well, with hooks that fail where a loss holds a gradient, as R1's does.)"""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet is torch.ops.aten.convolution_backward:
            # Torch's formula takes grouped convolutions for whole ones.
            gradient, maps, weight = args[:3]
            transposed, wanted = args[7], args[10]
            places = (maps if transposed else gradient)[:, 0].numel()
            self.total += 2 * weight.numel() * places * sum(wanted[:2])
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **kwargs, out_val=result)
        return result


class Stepper:
    """A recipe ready to train, for measuring."""

    def __init__(self, text: str, data: str, device: torch.device) -> None:
        entry = parse_entry(text)
        settings = {"training.precision": "float32", **entry.set}
        config = change(load_recipe(entry.recipe)(), settings)
        collection = open_or_pack(data, config.resolution)
        self.name = text
        self.session = Session(resolve(config, collection), collection, device)
        training = self.session.config.training
        self.precision = numbers(device, training.precision)
        self.images = training.batch * training.discriminator_steps
        # Steps after which the terms that are not active in every update have come round.
        self.period = math.lcm(*(term.every for term in self.session.config.objective))
        self.rates: list[float] = []

    def step(self) -> None:
        self.session.trainer.step()

    def steps_for(self, seconds: float, now: Callable[[], float]) -> float:
        """Whole periods for at least so long; gives steps a second."""
        steps, began = 0, now()
        while True:
            for _ in range(self.period):
                self.step()
            steps += self.period
            if (taken := now() - began) >= seconds:
                return steps / taken

    def operations(self) -> float:
        """Floating-point operations of matrix products and convolutions in a step, on average."""
        with Operations() as counter:
            for _ in range(self.period):
                self.step()
        return counter.total / self.period

    def parts(self, seconds: float, now: Callable[[], float]) -> dict[str, float]:
        """Seconds of a step by part."""
        watch = Stopwatch(now)
        trainer, state = self.session.trainer, self.session.state
        objective = self.session.objective
        update: list[tuple[str, StepInputs]] = []

        compute = objective.loss

        def loss(network: str, round: StepInputs, **options: Any) -> Any:
            update[:] = [(network, round)]
            with watch.part("losses"):
                return compute(network, round, **options)

        def judged(images: Tensor, _labels: Tensor) -> str:
            for network, round in update:
                for kind in ("real", "fake"):
                    if images is getattr(round, kind):
                        return f"discriminator forward, {kind}, in the {network}'s update"
            return "discriminator forward, other pictures"

        def whose(*_args: Any, **_options: Any) -> str:
            return f"backward, the {update[0][0]}'s update"

        with contextlib.ExitStack() as stack:

            def patch(owner: Any, attribute: str, name: str | Callable[..., str]) -> None:
                timed = watch.timed(getattr(owner, attribute), name)
                stack.enter_context(mock.patch.object(owner, attribute, timed))

            patch(trainer, "_generate", "generator forward")
            patch(trainer, "_discriminate", judged)
            patch(trainer.pictures, "shown", "data: real pictures")
            patch(trainer.pictures, "random_labels", "data: labels of fakes")
            patch(trainer, "_augmented", "augmentations and noise")
            patch(state, "update_average", "EMA")
            patch(state.generator_optimiser, "step", "optimiser, generator")
            if state.discriminator_optimiser is not None:
                patch(state.discriminator_optimiser, "step", "optimiser, discriminator")
            patch(torch.autograd, "grad", "gradient penalties' gradients")
            stack.enter_context(mock.patch.object(objective, "loss", loss))
            backward = watch.timed(torch.Tensor.backward, whose)
            stack.enter_context(
                mock.patch.object(
                    torch.Tensor, "backward", lambda of, *a, **o: backward(of, *a, **o)
                )
            )
            steps, began = 0, now()
            while now() - began < seconds or steps % self.period:
                with watch.part(REST):
                    self.step()
                steps += 1
        return {name: value / steps for name, value in watch.seconds.items()}


def ceiling(device: torch.device, precision: str, now: Callable[[], float]) -> float:
    """Floating-point operations a second of a large product in these numbers, the best of some.

    Taken by the BLAS, and as a 3x3 convolution by the library that computes the networks: on some
    processors the first does not reach a half of the second.

    Args:
        device: where.
        precision: `float32` or `bfloat16`.
        now: the time in seconds.
    """
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    side, batch = (1024, 8) if device.type == "cpu" else (8192, 512)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    images = torch.randn(batch, 256, 32, 32, device=device, dtype=dtype)
    kernel = torch.randn(256, 256, 3, 3, device=device, dtype=dtype)
    images, kernel = (
        each.contiguous(memory_format=torch.channels_last) for each in (images, kernel)
    )
    best = 0.0
    with torch.no_grad():
        for _ in range(4):
            for product, operations in (
                (lambda: a @ b, 2 * side**3),
                (lambda: F.conv2d(images, kernel, padding=1), 2 * images.numel() * 256 * 9),
            ):
                began = now()
                product()
                best = max(best, operations / (now() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE[:NAME=VALUE,...]")
    parser.add_argument("--data", default="masters")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    alone = device.type == "cpu" and options.threads == 1

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.process_time() if alone else time.perf_counter()

    steppers = [Stepper(text, options.data, device) for text in options.recipes]
    operations = [stepper.operations() for stepper in steppers]  # which warms up, too
    ceilings: dict[str, list[float]] = {stepper.precision: [] for stepper in steppers}
    for _ in range(options.rounds):
        for precision, found in ceilings.items():
            found.append(ceiling(device, precision, now))
        for stepper in steppers:
            stepper.rates.append(stepper.steps_for(options.seconds, now))
    print(f"{device}, {options.threads} threads, torch {torch.__version__}")
    for precision, found in ceilings.items():
        print(
            f"matrix-product ceiling in {precision}: {statistics.median(found) / 1e9:,.0f} GFLOP/s "
            f"(median of {options.rounds})"
        )
    for stepper, needed in zip(steppers, operations, strict=True):
        rate, images = statistics.median(stepper.rates), stepper.images
        # Each round against the ceiling of that round.
        most = ceilings[stepper.precision]
        shares = [r * needed / c for r, c in zip(stepper.rates, most, strict=True)]
        print(
            f"\n{stepper.name}: {rate * images:.1f} images/s "
            f"({min(stepper.rates) * images:.1f} to {max(stepper.rates) * images:.1f}), "
            f"{needed / images / 1e9:.3f} GFLOP an image, {statistics.median(shares):.0%} of the ceiling"
        )
        parts = stepper.parts(options.seconds, now)
        whole = sum(parts.values())
        for name, value in sorted(parts.items(), key=lambda part: -part[1]):
            print(f"  {value / whole:>6.1%} {1000 * value:>8.1f} ms  {name}")
        print(f"  100.0% {1000 * whole:>8.1f} ms  a step of {images} images")


if __name__ == "__main__":
    run(main)
