"""Makes the model `paintings` of the package: the flagship, trained on a collection by style.

    python -m benchmarks.paintings_model --data COLLECTION [--images 600k] [--labels style] [--seed 0]
        [--set NAME=VALUE ...] [--device auto] [--out runs] [--to FOLDER] [--run RUN]

The collection is packed at 64 pixels, or a multiple of it, with a label field `style`; all its pictures
must say that they are in the public domain. Trains `flagship_64` (or takes the last checkpoint of
`--run`, or the checkpoint that this is); scores it with 2,000 pictures; and writes it to `--to` (by
default where the package keeps the model `paintings`, in place of the one there), weights in half
precision. `model.json` names the collection's licences and artists. `made.json` says from what seed, for
how many images, by what configuration, on what machine, and how it scored. More copies than chance
explains, or a model above 12 MB, are an error, and the model is left beside `--to`.
"""

import argparse
import json
import shutil
from pathlib import Path

from benchmarks._command import run as run_command
from benchmarks._shipped_model import COPIED_BY_CHANCE, check_target, ship
from impasto.collection import Collection, open_or_pack
from impasto.errors import ImpastoError
from impasto.formatting import parse_count
from impasto.sampling.shipped import SHIPPED
from impasto.settings import parse_settings
from impasto.training import train
from impasto.training.choosing import configure

NAME = "paintings"
SIDE = 64
MOST_BYTES = 12_000_000


def check_licences(collection: Collection) -> None:
    """Raises: ImpastoError: a picture's licence is not that it is in the public domain."""
    found = {row.get("licence", "") for row in collection.source_table()}
    others = sorted(each for each in found if "public domain" not in each.lower())
    if others:
        raise ImpastoError(
            f"{collection.path} has pictures whose licence is {', '.join(map(repr, others[:3]))}; a "
            "model in the package learns from pictures in the public domain only"
        )


def trained(chosen: argparse.Namespace, collection: Collection) -> Path:
    """The run, in `--out`."""
    config = configure(
        "flagship_64",
        parse_settings(chosen.set),
        labels=chosen.labels.split(","),
        images=parse_count(chosen.images),
        seed=chosen.seed,
    )
    return train(config, collection, out=chosen.out, device=chosen.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", default="600k")
    parser.add_argument("--labels", default="style")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path, default=SHIPPED[NAME])
    chosen = parser.parse_args()
    check_target(NAME, chosen.to)
    collection = open_or_pack(chosen.data, SIDE)
    check_licences(collection)
    run = chosen.run or trained(chosen, collection)
    by = f"python -m benchmarks.paintings_model --images {chosen.images} --labels {chosen.labels}"
    by += "".join(f" --set {each}" for each in chosen.set)
    new = chosen.to.with_name(f"{chosen.to.name}-unchecked")
    made = ship(run, NAME, collection, new, chosen.device, made_by=by)
    print(json.dumps(made, indent=2))
    scores, size = made["scores"], sum(file.stat().st_size for file in new.iterdir())
    if scores["copied-lite0"] > scores[COPIED_BY_CHANCE]:
        raise ImpastoError(f"it copies more than chance explains; it is left in {new}")
    if size > MOST_BYTES:
        raise ImpastoError(f"it has {size:,} bytes, more than {MOST_BYTES:,}; it is left in {new}")
    if chosen.to.exists():  # the package's own, which git has
        shutil.rmtree(chosen.to)
    new.rename(chosen.to)


if __name__ == "__main__":
    run_command(main)
