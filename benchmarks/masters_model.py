"""Makes the model that the package ships: the flagship, trained longer on the 21 paintings.

    python -m benchmarks.masters_model [--images 600k] [--seed 0] [--device auto] [--out runs]
        [--set NAME=VALUE ...] [--run RUN] [--to src/impasto/masters/model]

Trains `flagship_64` by style (or takes `--run`, a finished one of it), scores its best checkpoint with
2,000 pictures, and writes that as the model `masters`: weights in half precision, and beside them
`made.json`, which says by which command, from what run and seed, for how many images, on what
machine, and how it scored.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import torch
from torch import Tensor

from impasto.cli.train import configure
from impasto.collection import open_or_pack
from impasto.device import choose_device
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
    (found,) = evaluator.evaluate(Painter(sampler, record), subject, Plan(count=2_000))
    return {
        score.name: round(score.value, 4)
        for score in found.row.scores
        if score.field is None and score.cls is None and score.value is not None
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="600k")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--to", type=Path, default=MASTERS_MODEL)
    chosen = parser.parse_args()

    run = chosen.run
    if run is None:
        config = configure(
            "flagship_64", chosen.set, labels="style", images=chosen.images, seed=chosen.seed
        )
        collection = open_or_pack("masters", config.resolution)
        run = train(config, collection, out=chosen.out, device=chosen.device)
    source = find_model(run / "best")
    record = read_json(run / "run.json", "run")
    model = Model.load(source)
    opponent = load_discriminator(source).state_dict()
    with atomic_folder(chosen.to) as temporary:
        Model.write(temporary, halved(model.generator.state_dict()), model.record, halved(opponent))
        made = {
            "command": shlex.join(["python", "-m", "benchmarks.masters_model", *sys.argv[1:]]),
            "run": run.name,
            "seed": record["config"]["training"]["seed"],
            "images_seen": model.record.images_seen,
            "machine": record["machine"],
            "versions": record["versions"],
            "torch_threads": torch.get_num_threads(),
            "scores": scores(temporary, chosen.device),
        }
        write_json(temporary / "made.json", made)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
