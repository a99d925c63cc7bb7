"""Makes the model that the package ships: the flagship, trained longer on the 21 paintings.

    python -m benchmarks.masters_model [--images 375k] [--seed 1] [--device auto] [--out runs]
        [--to FOLDER] [--run RUN]

Trains `flagship_64` by style (or takes the last checkpoint of `--run`, or the checkpoint that this is);
scores it with 2,000 pictures; and writes it to `--to` (by default where the package keeps the model
`masters`, in place of the one there), weights in half precision. Beside them `made.json` says from what
seed, for how many images, by what configuration, on what machine, and how it scored.
"""

import argparse
import json
import shutil
from pathlib import Path

from torch import Tensor

from benchmarks._command import run as run_command
from impasto.collection import open_or_pack
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.record import SubjectRecord
from impasto.features import load_network
from impasto.files import atomic_folder, read_json, write_json
from impasto.sampling import Sampler
from impasto.sampling.model import MASTERS_MODEL, Model, find_model, load_discriminator
from impasto.sampling.painter import Painter
from impasto.training import train
from impasto.training.choosing import configure, parse_count


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in half precision; what is no fraction stays as it is."""
    return {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}


def scores(folder: Path, device: str) -> dict[str, float]:
    """The overall scores of a model folder's pictures against the 21 paintings' tiles."""
    model = Model.load(folder)
    record, chosen = model.record, choose_device(device)
    labels = tuple(field.name for field in record.labels)
    collection = open_or_pack("masters", record.resolution)
    evaluator = Evaluator(
        [load_network("lite0", device=chosen)],
        collection,
        resolution=record.resolution,
        labels=labels,
    )
    sampler = Sampler(model.generator, record.latent, chosen, label_fields=len(labels))
    subject = SubjectRecord(
        kind="model",
        name="masters",
        images_seen=record.images_seen,
        weights_sha256=record.weights_sha256,
        recipe=record.recipe,
    )
    (found,) = evaluator.evaluate(Painter(sampler, record), subject, SampleCounts(count=2_000))
    return {
        score.name: round(score.value, 4)
        for score in found.row.scores
        if score.field is None and score.cls is None and score.value is not None
    }


def trained(chosen: argparse.Namespace) -> Path:
    """The run, in `--out`."""
    config = configure(
        "flagship_64", {}, labels=["style"], images=parse_count(chosen.images), seed=chosen.seed
    )
    collection = open_or_pack("masters", config.resolution)
    return train(config, collection, out=chosen.out, device=chosen.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="375k")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path, default=MASTERS_MODEL)
    chosen = parser.parse_args()
    if chosen.to != MASTERS_MODEL and chosen.to.exists():
        raise ImpastoError(f"{chosen.to} exists already; choose another name or remove it first")

    source = find_model(chosen.run or trained(chosen))
    record = read_json(source.resolve().parent.parent / "run.json", "run")
    model = Model.load(source)
    opponent = load_discriminator(source).state_dict()
    made_anew = chosen.to.with_name(f"{chosen.to.name}-anew")
    with atomic_folder(made_anew) as temporary:
        Model.write(temporary, halved(model.generator.state_dict()), model.record, halved(opponent))
        made = {
            "made_by": "python -m benchmarks.masters_model",
            "seed": record["config"]["training"]["seed"],
            "images_seen": model.record.images_seen,
            "weights_sha256": Model.load(temporary).record.weights_sha256,
            "machine": record["machine"],
            "versions": record["versions"],
            "config": record["config"],
            "scores": scores(temporary, chosen.device),
        }
        write_json(temporary / "made.json", made)
    if chosen.to.exists():  # the package's own, which git has
        shutil.rmtree(chosen.to)
    made_anew.rename(chosen.to)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    run_command(main)
