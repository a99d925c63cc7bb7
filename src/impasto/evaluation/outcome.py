"""What an evaluation leaves behind: a row of `metrics.jsonl`, a table, and the closest pairs."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from impasto.config import read_record
from impasto.evaluation.evaluate import Evaluation, Evaluator, Plan
from impasto.evaluation.memorisation import closest_pairs, save_sheet
from impasto.evaluation.record import (
    EVALUATION_FOLDER,
    METRICS_FILE,
    EvaluationRow,
    PicturesRecord,
    ScoreRow,
    SubjectRecord,
    append_row,
    read_rows,
)
from impasto.evaluation.subjects import Subject
from impasto.evaluation.table import lines
from impasto.features import FeatureNetwork
from impasto.files import write_text
from impasto.sampling.model import MODEL_FILE, ModelRecord
from impasto.sampling.painter import Painter


def folder_of(row: EvaluationRow, home: Path) -> Path:
    """The folder for what lies beside a row: `evaluation/000000076864` in a run, else `home`."""
    if row.subject.kind != "run":
        return home
    return home / EVALUATION_FOLDER / f"{row.subject.images_seen or 0:012d}"


def keep(
    evaluation: Evaluation, evaluator: Evaluator, home: Path, more: Sequence[ScoreRow] = ()
) -> list[str]:
    """Write an evaluation down: its row last, so that a row's table and sheet are always there.

    Args:
        evaluation: of one subject by one network.
        evaluator: who made it.
        home: the folder of `metrics.jsonl`, the run's for a run.
        more: further scores for the row.

    Returns:
        The table's lines.

    Raises:
        ImpastoError: `home` cannot be written.
    """
    row = evaluation.row
    row = row.model_copy(update={"scores": (*row.scores, *more)})
    folder = folder_of(row, home)
    told = lines(row)
    write_text(folder / f"scores-{row.network.name}.txt", "\n".join(told) + "\n")
    show_closest(evaluation, evaluator, folder)
    append_row(home / METRICS_FILE, row)
    return told


def show_closest(evaluation: Evaluation, evaluator: Evaluator, folder: Path) -> None:
    """Write the sheet of the closest pairs, and a table of every picture's nearest training picture."""
    row, found, pictures = evaluation.row, evaluation.memorisation, evaluation.subject
    collection = evaluator.collection
    pairs = closest_pairs(found, range(len(found.samples.distance)))
    numbers = pictures.kept[[pair.picture for pair in pairs]]
    seen = row.subject.images_seen
    save_sheet(
        folder / f"nearest-{row.network.name}.png",
        found,
        pairs,
        pictures.pixels(numbers).numpy(),
        collection,
        f"{row.subject.name}{'' if seen is None else f' after {seen:,} images'}, {row.network.name}",
        [pictures.names[number] for number in numbers],
    )
    sources = collection.source_table()
    farther = found.reference.farther(found.samples.distance) if found.reference.rows.size else None
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["picture", "distance", "nearer_than", "copied", "nearest", "source"])
    for number in np.argsort(found.samples.distance, kind="stable").tolist():
        distance = float(found.samples.distance[number])
        source = sources[int(found.samples.source[number])]
        copied = "" if found.limit is None else ("yes" if distance < found.limit else "no")
        writer.writerow(
            [
                pictures.names[pictures.kept[number]],
                f"{distance:.6g}",
                "" if farther is None else f"{farther[number]:.6g}",
                copied,
                int(found.samples.row[number]),
                source.get("path", ""),
            ]
        )
    write_text(folder / f"nearest-{row.network.name}.csv", file.getvalue())


def is_scored(
    rows: Sequence[EvaluationRow],
    model: ModelRecord,
    evaluator: Evaluator,
    network: FeatureNetwork,
    plan: Plan,
    truncation: float | None,
) -> bool:
    """Whether just this was evaluated before: the same weights, pictures, network and reference."""
    return any(
        row.subject.weights_sha256 == model.weights_sha256
        and not row.during_training
        and (row.network.name, row.network.weights_sha256, row.network.resize)
        == (network.name, network.weights_sha256, network.resize)
        and (row.collection.hash, row.reference.split)
        == (evaluator.collection.content_hash, evaluator.split)
        and row.reference.pictures == evaluator.reference_size
        and (row.pictures.count, row.pictures.per_class) == (plan.count, plan.per_class)
        and (row.pictures.first_seed, row.pictures.truncation) == (plan.first_seed, truncation)
        for row in rows
    )


def evaluate_model(
    folder: Path,
    name: str,
    evaluator: Evaluator,
    plan: Plan,
    home: Path,
    *,
    of_run: bool,
    device: torch.device | str = "cpu",
    truncation: float | None = None,
    batch: int = 64,
    again: bool = False,
    more: Callable[[], Sequence[ScoreRow]] = list,
) -> list[str]:
    """Evaluate the model in a model folder and keep the outcome; gives the tables' lines.

    Networks by which it is scored already, with the same pictures and reference, are passed over.

    Args:
        folder: a model folder, such as a checkpoint.
        name: of the run or model, for people.
        evaluator: with the reference.
        plan: which pictures to paint.
        home: where `metrics.jsonl` is, the run's folder for a run.
        of_run: whether `folder` is a checkpoint of the run in `home`.
        device: where to paint.
        truncation: see `latents_of_seeds`.
        batch: pictures at once.
        again: score anew what is scored already.
        more: gives further scores for the first network's row; asked only if there is one.
    """
    record = read_record(folder / MODEL_FILE, "model", ModelRecord)
    known = read_rows(home / METRICS_FILE)
    fresh = [
        network
        for network in evaluator.networks
        if again or not is_scored(known, record, evaluator, network, plan, truncation)
    ]
    if not fresh:
        return []
    painter = Painter.load(folder, device, truncation=truncation, batch=batch)
    subject = SubjectRecord(
        kind="run" if of_run else "model",
        name=name,
        images_seen=record.images_seen,
        weights_sha256=record.weights_sha256,
        recipe=record.recipe,
    )
    return _keep_all(
        evaluator.evaluate(painter, subject, plan, networks=fresh), evaluator, home, more()
    )


def evaluate_pictures(pictures: Subject, name: str, evaluator: Evaluator, home: Path) -> list[str]:
    """The same of the pictures of a folder."""
    record = PicturesRecord(count=pictures.count)
    subject = SubjectRecord(kind="pictures", name=name)
    return _keep_all(evaluator.evaluate_subject(pictures, subject, record), evaluator, home, ())


def _keep_all(
    found: Sequence[Evaluation], evaluator: Evaluator, home: Path, more: Sequence[ScoreRow]
) -> list[str]:
    told: list[str] = []
    for place, each in enumerate(found):
        told += [""] if told else []
        told += keep(each, evaluator, home, more if place == 0 else ())
    return told
