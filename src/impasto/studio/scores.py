"""The scores of a run's evaluations as a table, with what each score means."""

from pathlib import Path

from pydantic import BaseModel

from impasto.evaluation.by_size import with_all_sizes
from impasto.evaluation.record import METRICS_FILE, EvaluationRow, ScoreRow, read_rows
from impasto.evaluation.score_kinds import (
    INFINITY,
    interval_text,
    kind_in,
    place_of,
    title_of,
    value_text,
)

_INFINITELY = (
    " Here it is extrapolated to infinitely many generated pictures; the number of real ones still "
    "matters."
)


class ScoreColumn(BaseModel):
    """A score."""

    name: str
    """As `metrics.jsonl` has it, with the network: `kid-lite0`."""
    title: str
    better: str
    """A sentence."""
    explanation: str
    """What it is; empty for a plugin's."""
    unseen: str
    """What it cannot see."""


class ScoreCell(BaseModel):
    """A score of one evaluation."""

    value: str
    interval: str
    """The 95% interval; empty if there is none."""


class ScoresOfMoment(BaseModel):
    """An evaluation."""

    images_seen: int | None
    pictures: int
    """How many were generated for it."""
    conditions: str
    """What was compared with what. Only evaluations with equal conditions can be compared."""
    cells: list[ScoreCell | None]
    """In the order of the columns; None: not measured."""


class ScoreTable(BaseModel):
    """The evaluations of a run, the newest first."""

    columns: list[ScoreColumn]
    rows: list[ScoresOfMoment]


def score_table(run: Path) -> ScoreTable:
    """The scores of all pictures together, of every evaluation of a run or stage; of several sizes
    their means.

    Raises:
        ImpastoError: `metrics.jsonl` cannot be read.
    """
    from impasto.reporting.scores import Conditions  # imports torch

    rows = with_all_sizes(read_rows(run / METRICS_FILE))[::-1]
    found = {(score.name, score.field) for row in rows for score in _overall(row)}
    keys = sorted(found, key=lambda key: (place_of(key[0]), key[0], key[1] or ""))
    return ScoreTable(
        columns=[_column(name, field, rows) for name, field in keys],
        rows=[
            ScoresOfMoment(
                images_seen=row.subject.images_seen,
                pictures=row.pictures.count,
                conditions=("in training: " if row.during_training else "")
                + str(Conditions.of(row)),
                cells=[_cell(row.score(name, field)) for name, field in keys],
            )
            for row in rows
        ],
    )


def _overall(row: EvaluationRow) -> list[ScoreRow]:
    return [score for score in row.scores if score.cls is None]


def _column(name: str, field: str | None, rows: list[EvaluationRow]) -> ScoreColumn:
    kind = kind_in(name, rows)
    return ScoreColumn(
        name=name,
        title=title_of(name, field),
        better=kind.sentence,
        explanation=kind.explanation + (_INFINITELY if name.endswith(INFINITY) else ""),
        unseen=kind.unseen,
    )


def _cell(score: ScoreRow | None) -> ScoreCell | None:
    if score is None:
        return None
    return ScoreCell(value=value_text(score), interval=interval_text(score))
