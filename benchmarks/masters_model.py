"""Makes the model `masters` of the package: the flagship, trained longer on the 21 paintings.

    python -m benchmarks.masters_model [--images 375k] [--seed 1] [--device auto] [--out runs]
        [--to FOLDER] [--run RUN]

Trains `flagship_64` by style (or takes the last checkpoint of `--run`, or the checkpoint that this is);
scores it with 2,000 pictures; and writes it to `--to` (by default where the package keeps the model
`masters`, in place of the one there), weights in half precision. Beside them `made.json` says from what
seed, for how many images, by what configuration, on what machine, and how it scored.
"""

import argparse
import json
from pathlib import Path

from benchmarks._command import run as run_command
from benchmarks._shipped_model import check_target, ship
from impasto.collection import open_or_pack
from impasto.formatting import parse_count
from impasto.sampling.model import Model
from impasto.sampling.shipped import SHIPPED
from impasto.training import train
from impasto.training.choosing import configure

NAME = "masters"


def trained(chosen: argparse.Namespace) -> Path:
    """The run, in `--out`."""
    config = configure(
        "flagship_64", {}, labels=["style"], images=parse_count(chosen.images), seed=chosen.seed
    )
    collection = open_or_pack(NAME, config.resolution)
    return train(config, collection, out=chosen.out, device=chosen.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="375k")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path, default=SHIPPED[NAME])
    chosen = parser.parse_args()
    check_target(NAME, chosen.to)
    run = chosen.run or trained(chosen)
    collection = open_or_pack(NAME, Model.load(run).record.resolution)
    by = "python -m benchmarks.masters_model"
    made = ship(run, NAME, collection, chosen.to, chosen.device, made_by=by)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    run_command(main)
