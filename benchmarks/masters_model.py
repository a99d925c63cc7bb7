"""Makes the model that the package ships: the flagship, trained longer on the 21 paintings.

    python -m benchmarks.masters_model [--images 150k] [--more 50k] [--seed 0] [--device auto]
        [--out runs] [--to FOLDER] [--run RUN]

Trains `flagship_64` by style, then from there `--more` images with learning rates that fall to a
twentieth (or takes `--run`, a run so made); scores its last checkpoint with 2,000 pictures; and writes
that to `--to` (by default where the package keeps the model `masters`), weights in half precision.
Beside them `made.json` says from what runs and seed, for how many images, on what machine, and how it
scored.
"""

import argparse
import json
from pathlib import Path

from torch import Tensor

from benchmarks._command import run as run_command
from impasto.cli.train import configure, parse_count
from impasto.collection import open_or_pack
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, Plan
from impasto.evaluation.record import SubjectRecord
from impasto.features import load_network
from impasto.files import atomic_folder, read_json, write_json
from impasto.sampling import Sampler
from impasto.sampling.model import MASTERS_MODEL, Model, find_model, load_discriminator
from impasto.sampling.painter import Painter
from impasto.training import train


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in half precision; what is no fraction stays as it is."""
    return {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}


def scores(folder: Path, device: str, count: int = 2_000) -> dict[str, float]:
    """The overall scores of `count` pictures of a model folder against the 21 paintings' tiles."""
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
    (found,) = evaluator.evaluate(Painter(sampler, record), subject, Plan(count=count))
    return {
        score.name: round(score.value, 4)
        for score in found.row.scores
        if score.field is None and score.cls is None and score.value is not None
    }


def trained(chosen: argparse.Namespace) -> Path:
    """The second of the two runs, in `--out`."""
    first = configure("flagship_64", [], labels="style", images=chosen.images, seed=chosen.seed)
    collection = open_or_pack("masters", first.resolution)
    begun = train(first, collection, out=chosen.out, device=chosen.device)
    images = parse_count(chosen.more)
    settings = [
        f"{player}_optimiser.learning_rate={{start: {rate}, end: {rate / 20}, images: {images}}}"
        for player, rate in (("generator", 1e-3), ("discriminator", 5e-4))
    ]
    then = configure("flagship_64", settings, labels="style", images=chosen.more, seed=chosen.seed)
    return train(then, collection, out=chosen.out, device=chosen.device, start_from=begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="150k")
    parser.add_argument("--more", default="50k")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path, default=MASTERS_MODEL)
    chosen = parser.parse_args()

    run = chosen.run or trained(chosen)
    source = find_model(run)
    record = read_json(run / "run.json", "run")
    model = Model.load(source)
    if "started_from" not in record:
        raise ImpastoError(f"{run} is the first of the two runs; give the one that started from it")
    before = record["started_from"]["images_seen"]
    whole = model.record.model_copy(update={"images_seen": before + model.record.images_seen})
    opponent = load_discriminator(source).state_dict()
    with atomic_folder(chosen.to) as temporary:
        Model.write(temporary, halved(model.generator.state_dict()), whole, halved(opponent))
        made = {
            "made_by": "python -m benchmarks.masters_model",
            "seed": record["config"]["training"]["seed"],
            "images_seen": whole.images_seen,
            "images_seen_before": before,
            "weights_sha256": Model.load(temporary).record.weights_sha256,
            "machine": record["machine"],
            "versions": record["versions"],
            "scores": scores(temporary, chosen.device),
        }
        write_json(temporary / "made.json", made)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    run_command(main)
