"""Training steps a second: impasto's DCGAN against the plain loop everyone starts from.

    python -m benchmarks.dcgan_step [--rounds 7] [--steps 3] [--batch 128]

Both train the same networks (64x64, latent 100, Adam, float32) on the same pictures with as many
threads, alternating in one run. The plain loop is written here as PyTorch's DCGAN tutorial describes
it: contiguous tensors, plain Adam, the generator's loss sent back through a discriminator that gathers
gradients nobody uses. Neither side loads or decodes pictures: impasto's batches come from its
packed collection, the plain loop's lie in memory already. Printed: medians, the ratio of medians
with the range over rounds, and the share of the measured matrix-product ceiling that the useful
arithmetic of each comes to.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks._command import run
from benchmarks.training_profile import ceiling
from impasto.collection import open_or_pack
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session


def plain_networks() -> tuple[nn.Module, nn.Module]:
    def up(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride, stride - 1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(True)]

    def down(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]

    last_up = [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    generator = nn.Sequential(
        *up(100, 512, 1), *up(512, 256, 2), *up(256, 128, 2), *up(128, 64, 2), *last_up
    )
    first_down = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    last_down = [nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    discriminator = nn.Sequential(
        *first_down, *down(64, 128), *down(128, 256), *down(256, 512), *last_down
    )
    return generator, discriminator


def plain_loop(images: torch.Tensor, batch: int) -> Callable[[], None]:
    torch.manual_seed(0)
    generator, discriminator = plain_networks()
    criterion = nn.BCELoss()
    options = {"lr": 5e-4, "betas": (0.5, 0.999)}
    optimiser_d = torch.optim.Adam(discriminator.parameters(), **options)  # type: ignore[arg-type]
    optimiser_g = torch.optim.Adam(generator.parameters(), **options)  # type: ignore[arg-type]
    position = 0

    def step() -> None:
        nonlocal position
        real = images[position : position + batch]
        position = (position + batch) % (len(images) - batch)
        discriminator.zero_grad()
        label = torch.full((batch,), 1.0)
        criterion(discriminator(real).view(-1), label).backward()
        fake = generator(torch.randn(batch, 100, 1, 1))
        label.fill_(0.0)
        criterion(discriminator(fake.detach()).view(-1), label).backward()
        optimiser_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        criterion(discriminator(fake).view(-1), label).backward()
        optimiser_g.step()

    return step


def impasto_loop(batch: int) -> tuple[Callable[[], None], torch.Tensor]:
    collection = open_or_pack("masters", 64)
    # The plain loop's numbers, whatever else this machine would take.
    settings = {"training.batch": batch, "training.precision": "float32"}
    config = change(load_recipe("ukiyoe_dcgan_v1")(), settings)
    session = Session(resolve(config, collection), collection, torch.device("cpu"))

    def step() -> None:
        session.trainer.step()

    pixels = collection.images(collection.train_indices)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
    return step, images / 127.5 - 1


def useful_operations(batch: int) -> float:
    """Floating-point operations a step needs at least: a multiplication and an addition for each
    weight and position; forward, and twice that backward where both gradients are wanted."""
    side = (4, 8, 16, 32)
    channels = (512, 256, 128, 64, 3)
    # Transposed convolution: 16 taps for each input position; the convolution mirrors it.
    pairs = [a * b * 16 * s * s for a, b, s in zip(channels, channels[1:], side, strict=False)]
    generator = sum(pairs) + 100 * 512 * 16
    discriminator = sum(pairs) + 512 * 16
    first_g, first_d = 100 * 512 * 16, pairs[-1]  # these need no gradient for their input
    train_d = 2 * (3 * discriminator - first_d)
    train_g = 3 * generator - first_g + 2 * discriminator
    return 2.0 * batch * (train_d + train_g)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    ours, images = impasto_loop(options.batch)
    loops = {"plain": plain_loop(images, options.batch), "impasto": ours}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    ceilings = []
    for step in loops.values():
        step()
    for _ in range(options.rounds):
        ceilings.append(ceiling(torch.device("cpu"), "float32", time.perf_counter))
        for name, step in loops.items():
            began = time.perf_counter()
            for _ in range(options.steps):
                step()
            rates[name].append(options.steps / (time.perf_counter() - began))
    needed, most = useful_operations(options.batch), statistics.median(ceilings)
    print(f"{torch.get_num_threads()} threads, batch {options.batch}, torch {torch.__version__}")
    print(f"matrix-product ceiling: {most / 1e9:.0f} GFLOP/s")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(
            f"{name:<8} {rate:.3f} steps/s, {rate * options.batch:.1f} images/s, "
            f"{needed * rate / most:.0%} of the ceiling"
        )
    ratios = [b / a for a, b in zip(rates["plain"], rates["impasto"], strict=True)]
    ratio = statistics.median(rates["impasto"]) / statistics.median(rates["plain"])
    print(f"ratio {ratio:.2f} (over rounds {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    run(main)
