"""The last step of the Fréchet distance: impasto's against scipy's matrix square root.

    .venv-peers/bin/python -m benchmarks.frechet [--width 2048] [--rounds 5] [--threads N]

Everyone else takes the trace of scipy.linalg.sqrtm(C1 C2), as pytorch-fid does; impasto sums the square
roots of `eigvalsh`. By turns in one process, on random features whose spectrum falls as real ones do:

- full: more pictures than dimensions, both sides from their covariances;
- singular: half as many pictures as dimensions. scipy starts from covariances that are made already.
  impasto is timed twice: from the same covariances, and from the features, as it runs in `evaluate`.

Prints medians, ratios and relative differences. Where other work runs on the machine, take one thread
and compare seconds of processor time: with more, threads that wait for each other count as busy.
With OPENBLAS_CORETYPE unset, so that scipy's BLAS chooses its best kernels; which ones they are is
printed. The bar: 10 times as fast at full rank.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module

# Read when scipy and NumPy load their BLAS.
os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ.pop("OPENBLAS_L2_SIZE", None)

import numpy as np
import scipy
import torch
from scipy import linalg
from torch import Tensor

from benchmarks._command import run
from impasto.metrics import Moments, Sample
from impasto.metrics.frechet import frechet_distance, prepare


def features(count: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    falling = torch.arange(1, width + 1.0) ** -0.5
    turned = torch.randn(width, width, generator=generator) / width**0.5
    drawn = torch.randn(count, width, generator=generator) * falling * (1 + 0.1 * seed)
    return drawn @ (torch.eye(width) + turned) + 0.01 * seed


def by_square_root(one: Moments, other: Moments) -> float:
    """The formula, with the real part of a general matrix square root."""
    root = linalg.sqrtm(one.covariance.numpy() @ other.covariance.numpy())
    apart = (one.mean - other.mean).square().sum()
    traces = one.covariance.trace() + other.covariance.trace()
    return float(apart + traces) - 2 * float(np.trace(root).real)


def blas(threads: int | None) -> str:
    """What scipy and NumPy compute with, limited to so many threads."""
    try:
        pools = import_module("threadpoolctl")
    except ImportError:
        return "threadpoolctl is not installed, so the BLAS is neither known nor limited"
    if threads:
        pools.threadpool_limits(threads)
    return "; ".join(
        f"{pool['internal_api']} {pool['version'] or ''} {pool.get('architecture', '')} "
        f"{pool['num_threads']} threads"
        for pool in pools.threadpool_info()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of both; by default what they choose")
    arguments = parser.parse_args()
    width = arguments.width
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"scipy {scipy.__version__}, torch {torch.__version__}; {blas(arguments.threads)}")
    print(f"torch: {torch.get_num_threads()} threads, MKL {torch.backends.mkl.is_available()}")

    for case, count in (("full", width + width // 2), ("singular", width // 2)):
        fake, real = features(count, width, 1), features(count, width, 2)
        one, other = Moments.of(fake), Moments.of(real)

        def of_covariances(one: Moments = one, other: Moments = other) -> float:
            return frechet_distance(one.mean, one.covariance, other.mean, other.covariance)

        def of_features(fake: Tensor = fake, real: Tensor = real) -> float:
            return prepare(Sample(fake, None), Sample(real, None))(torch.arange(len(fake)))["fd"]

        def of_scipy(one: Moments = one, other: Moments = other) -> float:
            return by_square_root(one, other)

        ways: dict[str, Callable[[], float]] = {
            "scipy": of_scipy,
            "impasto, from covariances": of_covariances,
            "impasto, from features": of_features,
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        costs: dict[str, list[float]] = {name: [] for name in ways}
        found: dict[str, float] = {}
        of_covariances()  # Threads are started, and pages of memory found.
        for number in range(arguments.rounds):
            for name, way in ways.items():
                began, busy = time.perf_counter(), time.process_time()
                found[name] = way()
                seconds[name].append(time.perf_counter() - began)
                costs[name].append(time.process_time() - busy)
            said = "  ".join(
                f"{name} {seconds[name][-1]:.2f} s ({costs[name][-1]:.2f})" for name in ways
            )
            load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
            print(f"{case}, round {number + 1}: {said}  {load}", flush=True)
        for name in ways:
            apart = abs(found[name] - found["scipy"]) / abs(found["scipy"])
            print(f"{case}: {name}: relative difference {apart:.1e}")
            for what, measured in (("s", seconds), ("processor s", costs)):
                base, middle = (statistics.median(measured[way]) for way in ("scipy", name))
                print(f"  {middle:.2f} {what}, {base / middle:.1f} times as fast", flush=True)


if __name__ == "__main__":
    run(main)
