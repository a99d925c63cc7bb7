"""Save an evaluation: a row of `metrics.jsonl`, a table, and the closest pairs."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from impasto.evaluation.closest_pairs import closest_pairs, save_sheet
from impasto.evaluation.evaluate import Evaluation, Evaluator, SampleCounts
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
from impasto.files import check_writable, write_text
from impasto.resolution import Resolution, width_and_height
from impasto.sampling.guiding import made_with
from impasto.sampling.model import ModelRecord
from impasto.sampling.output import slugs
from impasto.sampling.painter import Painter
from impasto.sampling.step_settings import AS_SAVED, StepSettings

TABLE, SHEET, PAIRS, LEFT_OUT = "scores.txt", "nearest.png", "nearest.csv", "left-out.csv"


def conditions(row: EvaluationRow) -> tuple[object, ...]:
    """The conditions of an evaluation; equal for a repetition."""
    return (
        *(row.subject.kind, row.subject.name, row.subject.images_seen, row.subject.weights_sha256),
        *(row.network.name, row.network.weights_sha256, row.network.resize),
        *(row.collection.hash, row.reference.split, row.reference.pictures),
        *(row.pictures.count, row.pictures.per_class, row.pictures.first_seed),
        *(row.pictures.truncation, row.pictures.made_with, row.pictures.fit),
    )


def folder_of(row: EvaluationRow, known: Sequence[EvaluationRow]) -> str:
    """The folder of a row's files, relative to `metrics.jsonl`:
    `evaluation/000000076864/lite0-masters-2000` in a run. Only repetitions of an evaluation share
    one."""
    name = f"{row.network.name}-{slugs([row.collection.name])[0][:100]}-{row.pictures.count}"
    if row.subject.kind == "run":
        name = f"{EVALUATION_FOLDER}/{row.subject.images_seen or 0:012d}/{name}"
    taken = {each.folder for each in known if conditions(each) != conditions(row)}
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}-{number}"
    return free


def keep(
    evaluation: Evaluation, evaluator: Evaluator, home: Path, more: Sequence[ScoreRow] = ()
) -> EvaluationRow:
    """Save an evaluation; its row last, so that a row's files always exist.

    Args:
        evaluation: of one subject by one network.
        evaluator: that made it.
        home: the folder of `metrics.jsonl`; for a run its own.
        more: further scores for the row.

    Returns:
        The row as it was written.

    Raises:
        ImpastoError: `home` cannot be written.
    """
    row = evaluation.row
    beside = folder_of(row, read_rows(home / METRICS_FILE))
    row = row.model_copy(update={"scores": (*row.scores, *more), "folder": beside})
    folder = home / beside
    write_text(folder / TABLE, "\n".join(lines(row)) + "\n")
    show_closest(evaluation, evaluator, folder)
    _list_left_out(evaluation.subject, folder)
    append_row(home / METRICS_FILE, row)
    return row


def show_closest(evaluation: Evaluation, evaluator: Evaluator, folder: Path) -> None:
    """Write the sheet of closest pairs, and a table of every picture's nearest training picture."""
    row, found, pictures = evaluation.row, evaluation.memorisation, evaluation.subject
    collection = evaluator.collection
    pairs = closest_pairs(found, range(len(found.samples.distance)))
    numbers = pictures.kept[[pair.picture for pair in pairs]]
    seen = row.subject.images_seen
    save_sheet(
        folder / SHEET,
        found,
        pairs,
        pictures.pixels(numbers).cpu().numpy(),
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
    write_text(folder / PAIRS, file.getvalue())


def _list_left_out(pictures: Subject, folder: Path) -> None:
    """Write the table of unusable files, if any; an earlier one is deleted."""
    if not pictures.left_out:
        (folder / LEFT_OUT).unlink(missing_ok=True)
        return
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("path", "reason"), *pictures.left_out])
    write_text(folder / LEFT_OUT, file.getvalue())


def scored_before(
    rows: Sequence[EvaluationRow],
    model: ModelRecord,
    evaluator: Evaluator,
    network: FeatureNetwork,
    plan: SampleCounts,
    painting: "PaintingOptions",
) -> EvaluationRow | None:
    """The newest row with the same weights, pictures, network and reference, if any."""
    how = (painting.truncation, made_with(painting.how))
    for row in reversed(rows):
        if (
            row.subject.weights_sha256 == model.weights_sha256
            and not row.during_training
            and (row.network.name, row.network.weights_sha256, row.network.resize)
            == (network.name, network.weights_sha256, network.resize)
            and (row.collection.hash, row.reference.split)
            == (evaluator.collection.content_hash, evaluator.split)
            and row.reference.pictures == evaluator.reference_size
            and (row.pictures.count, row.pictures.per_class) == (plan.count, plan.per_class)
            and row.pictures.first_seed == plan.first_seed
            and (row.pictures.truncation, row.pictures.made_with) == how
        ):
            return row
    return None


@dataclass(frozen=True)
class Outcome:
    """A row, and whether it was recorded before."""

    row: EvaluationRow
    before: bool


@dataclass(frozen=True)
class PaintingOptions:
    """How a model paints pictures.

    Attributes:
        device: where.
        truncation: see `latents_of_seeds`.
        batch: pictures at once.
        how: see `StepSettings`.
    """

    device: torch.device | str = "cpu"
    truncation: float | None = None
    batch: int = 64
    how: StepSettings = AS_SAVED

    def at(self, size: Resolution) -> "PaintingOptions":
        """The options with which the model paints pictures of `size`, one of its sizes."""
        width, height = width_and_height(size)
        return replace(self, how=replace(self.how, aspect=f"{width}:{height}"))

    def painter(self, folder: Path) -> Painter:
        """The painter of a model folder."""
        return Painter.load(
            folder, self.device, self.how, truncation=self.truncation, batch=self.batch
        )


_PAINTING = PaintingOptions()


def evaluate_model(
    folder: Path,
    name: str,
    evaluator: Evaluator,
    plan: SampleCounts,
    home: Path,
    painting: PaintingOptions = _PAINTING,
    *,
    of_run: bool,
    again: bool = False,
    more: Callable[[], Sequence[ScoreRow]] = list,
) -> list[Outcome]:
    """Evaluate a model folder and save the outcome for each network.

    Evaluations already recorded with the same pictures and reference are not repeated.

    Args:
        folder: a model folder, such as a checkpoint.
        name: of the run or model, for display.
        evaluator: with the reference.
        plan: which pictures to generate.
        home: the folder of `metrics.jsonl`; for a run its own.
        painting: how to paint them.
        of_run: whether `folder` is a checkpoint of the run in `home`.
        again: repeat recorded evaluations.
        more: computes further scores for the first network's row, if that is evaluated.
    """
    record = ModelRecord.of(folder)
    known = [] if again else read_rows(home / METRICS_FILE)
    before = {
        network.identity: row
        for network in evaluator.networks
        if (row := scored_before(known, record, evaluator, network, plan, painting)) is not None
    }
    fresh = [network for network in evaluator.networks if network.identity not in before]
    made: list[EvaluationRow] = []
    if fresh:
        check_writable(home)
        further = more()  # before the long work, because the discriminator may be damaged
        painter = painting.painter(folder)
        subject = SubjectRecord(
            kind="run" if of_run else "model",
            name=name,
            images_seen=record.images_seen,
            weights_sha256=record.weights_sha256,
            recipe=record.recipe,
        )
        found = evaluator.evaluate(painter, subject, plan, networks=fresh)
        made = _keep_all(found, evaluator, home, further)
    new = {network.identity: row for network, row in zip(fresh, made, strict=True)}
    return [
        Outcome(before[each.identity], True)
        if each.identity in before
        else Outcome(new[each.identity], False)
        for each in evaluator.networks
    ]


def evaluate_pictures(
    pictures: Subject, name: str, evaluator: Evaluator, home: Path
) -> list[Outcome]:
    """Evaluate given pictures; earlier rows are ignored."""
    check_writable(home)
    record = PicturesRecord(count=pictures.count, fit=pictures.fit, left_out=len(pictures.left_out))
    subject = SubjectRecord(kind="pictures", name=name)
    found = evaluator.evaluate_subject(pictures, subject, record)
    return [Outcome(row, False) for row in _keep_all(found, evaluator, home, ())]


def _keep_all(
    found: Sequence[Evaluation], evaluator: Evaluator, home: Path, more: Sequence[ScoreRow]
) -> list[EvaluationRow]:
    return [
        keep(each, evaluator, home, more if place == 0 else ()) for place, each in enumerate(found)
    ]
