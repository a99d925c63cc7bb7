"""Pictures a second from one DCGAN-64 generator: impasto's sampler against plain eager `no_grad`.

    python -m benchmarks.sampling [--rounds 9]

Same weights, same latents, same threads, alternating in one run; at batch 64 and at batch 1.
Printed: medians, ratios, and the largest difference between the two outputs.
"""

import argparse
import statistics
import time

import torch

from benchmarks._command import run
from impasto.config import LatentConfig
from impasto.networks import build_generator
from impasto.sampling import Sampler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    generator = build_generator("dcgan", {}, latent_dim=100, resolution=64)
    with torch.no_grad():  # let the batch norms see something, so that folding has work to do
        for _ in range(20):
            generator(torch.randn(32, 100), torch.zeros(32, 0, dtype=torch.int64))
    generator.eval()
    sampler = Sampler(generator, LatentConfig(dim=100))

    def plain(latents: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            images: torch.Tensor = generator(latents, torch.zeros(len(latents), 0))
            return images

    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for batch, repeats in ((64, 5), (1, 60)):
        latents = torch.randn(batch, 100)
        difference = (plain(latents) - sampler.images(latents)).abs().max().item()
        rates: dict[str, list[float]] = {"plain": [], "impasto": []}
        for _ in range(rounds):
            for name, draw in (("plain", plain), ("impasto", sampler.images)):
                draw(latents)
                began = time.perf_counter()
                for _ in range(repeats):
                    draw(latents)
                rates[name].append(repeats * batch / (time.perf_counter() - began))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        ratios = [b / a for a, b in zip(rates["plain"], rates["impasto"], strict=True)]
        print(
            f"batch {batch:>2}: plain {medians['plain']:.0f} images/s, impasto "
            f"{medians['impasto']:.0f}, ratio {medians['impasto'] / medians['plain']:.2f} "
            f"(over rounds {min(ratios):.2f} to {max(ratios):.2f}), "
            f"largest difference {difference:.1e}"
        )


if __name__ == "__main__":
    run(main)
