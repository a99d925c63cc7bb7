"""Seconds a picture, one at a time: an ONNX file by onnxruntime against torch.

    python -m benchmarks.onnx_speed [MODEL] [--threads 2] [--rounds 5] [--pictures 60]

The model's generator as it was trained (`eager`), with folded batch norms as `impasto sample` runs it
(`sampler`), and exported (`onnx`, `onnx half`). Same latents, classes and threads, alternating in one
process. Printed: medians over the rounds, and how many times as fast as `eager`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from impasto.exporting.onnx_file import export_onnx
from impasto.networks import one_hot
from impasto.sampling import Model, Sampler, latents_of_seeds
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.onnx_model import OnnxModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", default="masters")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = Model.load(given.model)
    latents = latents_of_seeds([0], model.latent)
    labels = labels_of_seeds([0], model.record)
    sampler = Sampler(model.generator, model.latent, label_fields=len(model.record.labels))
    arrays = latents.numpy(), one_hot(labels, model.record.label_sizes).numpy()

    def eager() -> object:
        with torch.inference_mode():
            return model.generator(latents, labels)

    ways: dict[str, Callable[[], object]] = {
        "eager": eager,
        "sampler": lambda: sampler.images(latents, labels),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, half in (("onnx", False), ("onnx half", True)):
            path = Path(folder) / f"{half}.onnx"
            print(f"{name}: {export_onnx(model, path, half=half)}")
            written = OnnxModel.load(path, given.threads)
            ways[name] = lambda written=written: written.images(*arrays)  # type: ignore[misc]
        print(
            f"{given.threads} threads, torch {torch.__version__}, medians of {given.rounds} rounds"
        )
        medians = _medians(ways, given.rounds, given.pictures)
    for name, seconds in medians.items():
        print(
            f"{name:>9}: {1e3 * seconds:6.2f} ms a picture, {medians['eager'] / seconds:.2f} times"
        )


def _medians(ways: dict[str, Callable[[], object]], rounds: int, pictures: int) -> dict[str, float]:
    """Seconds a picture of each way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, paint in ways.items():
            paint()
            began = time.perf_counter()
            for _ in range(pictures):
                paint()
            taken[name].append((time.perf_counter() - began) / pictures)
    return {name: statistics.median(values) for name, values in taken.items()}


if __name__ == "__main__":
    main()
