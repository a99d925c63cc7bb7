"""Pictures a second through Inception-v3: impasto against torch-fidelity and pytorch-fid, on the CPU.

    .venv-peers/bin/python -m benchmarks.inception [--pictures 64] [--rounds 7] [--side 64]

Same weights (random: speed does not depend on them), same pictures, same threads,
alternating in one run; preparing the pictures (resize to 299 px) is part of it, making and
decoding them is not. Each tool's batch is the one it comes with (torch-fidelity 64, pytorch-fid 50)
where `--batch` does not say otherwise. Printed: medians, ratios, and by how far the features differ.

Where other work runs on the machine, pictures a second of processor time tell more than pictures a
second. The bar: at least 1.6 times each of the two.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytorch_fid.inception
import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from benchmarks._command import run
from impasto.features import load_network
from tests.helpers.random_inception import random_tensors

Way = Callable[[Tensor], Tensor]


def ways(fidelity_batch: int, fid_batch: int) -> dict[str, Way]:
    """Each takes uint8 pictures [N, H, W, 3] and gives features [N, 2048]."""
    tensors = random_tensors()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pth"
        torch.save(tensors, path)
        ours = load_network("inception", weights=str(path))
        fidelity = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(path)
        )
    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: tensors
    fid = pytorch_fid.inception.InceptionV3([3]).eval()

    @torch.no_grad()
    def by_fidelity(pixels: Tensor) -> Tensor:
        batches = pixels.permute(0, 3, 1, 2).contiguous().split(fidelity_batch)
        return torch.cat([fidelity(batch)[0] for batch in batches])

    @torch.no_grad()
    def by_fid(pixels: Tensor) -> Tensor:
        batches = pixels.permute(0, 3, 1, 2).contiguous().split(fid_batch)
        return torch.cat([fid(batch.float() / 255)[0].flatten(1) for batch in batches])

    return {
        "impasto": lambda pixels: ours(pixels).features,
        "torch-fidelity": by_fidelity,
        "pytorch-fid": by_fid,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=64, help="of the pictures, in px")
    parser.add_argument("--batch", type=int, help="for torch-fidelity and pytorch-fid")
    arguments = parser.parse_args()
    shape = (arguments.pictures, arguments.side, arguments.side, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    count = arguments.pictures
    print(
        f"{count} pictures of {arguments.side} px, {torch.get_num_threads()} threads of "
        f"{os.cpu_count()} cores, torch {torch.__version__}"
    )
    compared = ways(arguments.batch or 64, arguments.batch or 50)
    features = {name: way(pixels) for name, way in compared.items()}
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    busy: dict[str, list[float]] = {name: [] for name in compared}
    for number in range(arguments.rounds):
        for name, way in compared.items():
            began, began_busy = time.perf_counter(), time.process_time()
            way(pixels)
            seconds[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - began_busy)
        said = "  ".join(f"{name} {count / taken[-1]:.1f}" for name, taken in seconds.items())
        load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"round {number + 1}: {said} images/s  {load}", flush=True)

    for what, measured in (("s", seconds), ("processor second", busy)):
        rates = {name: count / statistics.median(taken) for name, taken in measured.items()}
        for name in list(compared)[1:]:
            ratios = [b / a for a, b in zip(measured["impasto"], measured[name], strict=True)]
            print(
                f"impasto {rates['impasto']:.1f} images/{what}, {name} {rates[name]:.1f}: "
                f"ratio {rates['impasto'] / rates[name]:.2f} "
                f"(over rounds {min(ratios):.2f} to {max(ratios):.2f})"
            )
    for name in list(compared)[1:]:
        apart = (features["impasto"] - features[name]).abs().max() / features[name].abs().max()
        why = ", as it resizes and scales otherwise" if name == "pytorch-fid" else ""
        print(f"features apart from {name}'s by {apart:.1e} of the largest value{why}")


if __name__ == "__main__":
    run(main)
