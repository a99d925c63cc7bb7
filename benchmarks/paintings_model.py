"""Makes the models `paintings` and `paintings-128` of the package: the flagship, trained by style.

    python -m benchmarks.paintings_model --data COLLECTION [--model paintings] [--images 600k]
        [--labels style] [--seed 0] [--set NAME=VALUE ...] [--device auto] [--out runs] [--to FOLDER]
        [--run RUN]

`paintings` is a `flagship_64` from nothing; `paintings-128` is a `flagship_128` from `paintings`. The
collection is packed at the model's size, or a multiple of it, with a label field `style`; all its
pictures must say that they are in the public domain. Trains the recipe (or takes the last checkpoint of
`--run`, or the checkpoint that this is); scores it with 2,000 pictures; and writes it to `--to` (by
default where the package keeps the model, in place of the one there), weights in half precision.
`model.json` names the collection's licences and artists. `made.json` says from what seed and model, for
how many images, by what configuration, on what machine, and how it scored. More copies than chance
explains, or both models together above 12 MiB, are an error, and the model is left beside `--to`.
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
from impasto.registry import load_recipe
from impasto.sampling.shipped import SHIPPED
from impasto.settings import parse_settings
from impasto.training import train
from impasto.training.choosing import configure

MODELS = {"paintings": ("flagship_64", None), "paintings-128": ("flagship_128", "paintings")}
"""The recipe of each, and the model that its training starts from."""
MOST_BYTES = 12 * 2**20


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
    recipe, start = MODELS[chosen.model]
    config = configure(
        recipe,
        parse_settings(chosen.set),
        labels=chosen.labels.split(","),
        images=parse_count(chosen.images),
        seed=chosen.seed,
    )
    start_from = None if start is None else Path(start)
    return train(config, collection, out=chosen.out, device=chosen.device, start_from=start_from)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if there is none."""
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", choices=sorted(MODELS), default="paintings")
    parser.add_argument("--images", default="600k")
    parser.add_argument("--labels", default="style")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path)
    chosen = parser.parse_args()
    name, to = chosen.model, chosen.to or SHIPPED[chosen.model]
    check_target(name, to)
    collection = open_or_pack(chosen.data, load_recipe(MODELS[name][0])().resolution)
    check_licences(collection)
    run = chosen.run or trained(chosen, collection)
    by = f"python -m benchmarks.paintings_model --model {name} --images {chosen.images}"
    by += f" --labels {chosen.labels}"
    by += "".join(f" --set {each}" for each in chosen.set)
    new = to.with_name(f"{to.name}-unchecked")
    made = ship(run, name, collection, new, chosen.device, made_by=by)
    print(json.dumps(made, indent=2))
    others = [SHIPPED[each] for each in MODELS if each != name]
    scores, size = made["scores"], sum(map(size_of, [new, *others]))
    if scores["copied-lite0"] > scores[COPIED_BY_CHANCE]:
        raise ImpastoError(f"it copies more than chance explains; it is left in {new}")
    if size > MOST_BYTES:
        raise ImpastoError(
            f"the models have {size:,} bytes, more than {MOST_BYTES:,}; it is left in {new}"
        )
    if to.exists():  # the package's own, which git has
        shutil.rmtree(to)
    new.rename(to)


if __name__ == "__main__":
    run_command(main)
