"""A model as a folder for the Hugging Face hub: the model folder, a card, and pictures for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impasto import __version__
from impasto.evaluation.folders import home_of
from impasto.exporting.card import PICTURES, Card, Training, evaluations_of
from impasto.exporting.licences import check_licence
from impasto.exporting.markdown import plain
from impasto.files import atomic_folder, write_json, write_text
from impasto.progress import shown
from impasto.resolution import width_and_height
from impasto.sampling.model import (
    Model,
    copy_model,
    find_model,
    load_discriminator,
    run_of,
)
from impasto.sampling.output import save_grid
from impasto.sampling.painter import Painter
from impasto.sampling.records import ModelRecord

CARD, CONFIG = "README.md", "config.json"
_ACROSS = 1024
"""Pixels that a row of the card's pictures has at most, where they are not larger."""
_MOST_ROWS = 8


def write_hub_folder(
    path: Path,
    destination: Path,
    *,
    licence: str | None = None,
    repository: str | None = None,
    discriminator: bool = False,
) -> ModelRecord:
    """Write a model, with its card, as a new folder; gives the model's record as it is there.

    Args:
        path: a run, a checkpoint or a model. The card has what the run's folder says of the training,
            and the evaluations of these weights there; for other models those in `evaluations/NAME`.
        destination: a folder that does not exist yet.
        licence: of the model, an identifier of the hub such as `cc0-1.0`; None: unknown.
        repository: its name on the hub, for the card.
        discriminator: write the discriminator too.

    Raises:
        ImpastoError: there is no model, it is damaged, the licence is no identifier, or `destination`
            exists or cannot be written.
    """
    check_licence(licence)
    source = find_model(path)
    model = Model.load(source)
    if discriminator:
        load_discriminator(source)
    run = run_of(path)
    training = None if run is None else Training.read(run, model.record.images_seen)
    scores = evaluations_of(home_of(path, run), model.record.weights_sha256)
    with atomic_folder(destination) as temporary:
        record = copy_model(source, temporary, alone(model.record), discriminator=discriminator)
        caption = _write_pictures(model, temporary / PICTURES)
        card = Card(record, caption, training, scores, licence, repository)
        write_text(temporary / CARD, card.text())
        write_json(temporary / CONFIG, _config(record))
    return record


def alone(record: ModelRecord) -> ModelRecord:
    """The record without files and addresses of its autoencoder's weights, which are found by their
    SHA-256: what is downloaded is not to name where to read or fetch more."""
    if record.autoencoder is None:
        return record
    named = [half for half in ("encoder", "decoder") if half in record.autoencoder.options]
    autoencoder = record.autoencoder.model_copy(update=dict.fromkeys(named))
    return record.model_copy(update={"autoencoder": autoencoder})


def _write_pictures(model: Model, path: Path) -> str:
    """Write the card's pictures, a row for each of the commonest classes; gives their caption."""
    record = model.record
    columns = max(4, min(8, _ACROSS // width_and_height(record.resolution)[0]))
    if not record.labels:
        seeds = range(columns * _MOST_ROWS // 2)
        save_grid(path, _painted(model, seeds, [{}]), columns)
        return f"Seeds 0 to {seeds[-1]}, none left out."
    counts, field = record.class_counts(0), record.labels[0]
    common = sorted(range(len(counts)), key=lambda number: -counts[number])[:_MOST_ROWS]
    images = _painted(model, range(columns), [{0: cls} for cls in common])
    save_grid(path, images, columns, beside=[field.classes[cls] for cls in common])
    few = "the commonest classes" if len(common) < len(counts) else "each class"
    return (
        f"Seeds 0 to {columns - 1}, none left out; a row for {few} of {plain(field.name)}, the "
        "commonest first."
    )


def _painted(model: Model, seeds: range, rows: Sequence[Mapping[int, int]]) -> np.ndarray:
    """Pictures of the seeds, once for each row's classes by the column of their field."""
    painter, images = Painter.of(model, batch=8), list[np.ndarray]()
    with shown("pictures", len(seeds) * len(rows)) as progress:
        for row in rows:
            for batch in painter.paint(seeds, painter.labels(seeds, row)):
                images.extend(batch)
                progress(len(images))
    return np.stack(images)


def _config(record: ModelRecord) -> dict[str, Any]:
    """The contents of `config.json`, by which the hub counts downloads: what the model is, in short.
    impasto reads `model.json`."""
    known = record.model_dump(mode="json")
    names = (
        "recipe",
        "resolution",
        "generator",
        "latent",
        "labels",
        "parameters",
        "weights_sha256",
    )
    return {"library_name": "impasto", "impasto_version": __version__} | {
        name: known[name] for name in names
    }
