"""How a model is written into the package, with a record of how it was made and how it scores."""

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.collection import Collection
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.record import SubjectRecord, copied_at_most_by_chance
from impasto.features import load_network
from impasto.files import atomic_folder, read_json, write_json
from impasto.sampling import Sampler
from impasto.sampling.model import Model, find_model, load_discriminator
from impasto.sampling.painter import Painter
from impasto.sampling.shipped import SHIPPED

COPIED_BY_CHANCE = "copied-by-chance-at-most"
"""The key in the scores of the share of copies that chance explains."""


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in half precision; what is no fraction stays as it is."""
    return {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}


def scores(folder: Path, name: str, collection: Collection, device: str) -> dict[str, float]:
    """The overall scores of 2,000 pictures of a model folder against a collection's."""
    model = Model.load(folder)
    record, chosen = model.record, choose_device(device)
    labels = tuple(field.name for field in record.labels)
    evaluator = Evaluator(
        [load_network("lite0", device=chosen)],
        collection,
        resolution=record.resolution,
        labels=labels,
    )
    sampler = Sampler(model.generator, record.latent, chosen, label_fields=len(labels))
    subject = SubjectRecord(
        kind="model",
        name=name,
        images_seen=record.images_seen,
        weights_sha256=record.weights_sha256,
        recipe=record.recipe,
    )
    (found,) = evaluator.evaluate(Painter(sampler, record), subject, SampleCounts(count=2_000))
    overall = {
        score.name: round(score.value, 4)
        for score in found.row.scores
        if score.cls is None and score.field is None and score.value is not None
    }
    return {**overall, COPIED_BY_CHANCE: round(copied_at_most_by_chance(found.row), 4)}


def check_target(name: str, folder: Path) -> None:
    """Raises: ImpastoError: another folder than the package's own is there already."""
    if folder != SHIPPED[name] and folder.exists():
        raise ImpastoError(f"{folder} exists already; choose another name or remove it first")


def ship(
    run: Path, name: str, collection: Collection, folder: Path, device: str, *, made_by: str
) -> dict[str, Any]:
    """Write the model of a run, or of one of its checkpoints, into `folder`, in place of the one there.

    Args:
        run: a run, or one of its checkpoints.
        name: the word that stands for the model.
        collection: that its pictures are scored against.
        folder: of the model.
        device: that it is scored on.
        made_by: the command.

    Returns:
        What `made.json` says.
    """
    source = find_model(run)
    record = read_json(source.resolve().parent.parent / "run.json", "run")
    started = record.get("started_from")
    model = Model.load(source)
    opponent = load_discriminator(source).state_dict()
    made_anew = folder.with_name(f"{folder.name}-anew")
    with atomic_folder(made_anew) as temporary:
        Model.write(temporary, halved(model.generator.state_dict()), model.record, halved(opponent))
        made = {
            "made_by": made_by,
            "seed": record["config"]["training"]["seed"],
            **({"started_from": started["model"]} if started else {}),
            "images_seen": model.record.images_seen,
            "weights_sha256": Model.load(temporary).record.weights_sha256,
            "machine": record["machine"],
            "versions": record["versions"],
            "config": record["config"],
            "scores": scores(temporary, name, collection, device),
        }
        write_json(temporary / "made.json", made)
    if folder.exists():  # the package's own, which git has
        shutil.rmtree(folder)
    made_anew.rename(folder)
    return made
