"""The scores of each class of a label field: over time, and the newest ones as tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from impasto.evaluation.by_size import has_aspect
from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.evaluation.score_kinds import INFINITY, base_of, kind_in, place_of, title_of
from impasto.reporting.charts import Level
from impasto.reporting.curves import Charts
from impasto.reporting.elements import Card, Cell, PageTable, moment
from impasto.reporting.record import RunRecord
from impasto.reporting.scores import (
    Alike,
    TableNotes,
    cell,
    foundation,
    is_curve,
    made_alike,
)

_BY_CLASS_CHARTS = ("fid", "fd", "kid", "top1")
"""Kinds of scores shown over time by class; the tables have all."""
_CHIEF = ("fid", "fd", "kid", "top1", "precision", "recall", "diversity")
"""Kinds of scores by class shown at once; the others unfold."""
CLASSES_IN_A_CHART = 6


def class_charts(
    record: RunRecord, field: str, classes: Sequence[str], charts: Charts
) -> list[Card]:
    """Scores by class over time, with a line for each class; empty if none was measured twice."""
    # Of several sizes, the model's own.
    groups = sorted(made_alike(record.evaluations), key=lambda group: has_aspect(group.newest))
    found = (_class_charts(group, field, classes, charts) for group in groups)
    return next(filter(None, found), [])


def _class_charts(group: Alike, field: str, classes: Sequence[str], charts: Charts) -> list[Card]:
    cards = []
    for name in names_by_class(group.rows, field):
        if base_of(name) not in _BY_CLASS_CHARTS or name.endswith(INFINITY):
            continue
        lines = [
            # Without bands, which would hide the lines; the table has the intervals.
            replace(line, low=None, high=None)
            for cls in classes
            if (line := group.line(name, field, cls, title=cls)) is not None and is_curve(line)
        ]
        if not lines:
            continue
        levels = []
        if base_of(name) == "top1":
            levels = [
                Level("by chance", 1 / len(judge.classes))
                for judge in group.newest.judges
                if judge.field == field and judge.classes
            ]
        kind = kind_in(name, group.rows)
        card = charts.draw(
            f"{title_of(name)} by {field}",
            group.images_seen,
            lines,
            f"{kind.sentence} Intervals are in the table below.",
            bounds=(0.0, 1.0) if kind.share else None,
            levels=levels,
        )
        cards.append(card)
    return cards


@dataclass(frozen=True)
class ClassTables:
    """The newest scores by class: their moment, tables shown at once, and more that unfold."""

    when: str
    shown: PageTable
    more: PageTable | None


def class_tables(record: RunRecord, field: str, classes: Sequence[str]) -> ClassTables | None:
    """The newest scores by class, a row for each class; None if none was measured."""
    rows = [
        group.newest
        for group in made_alike(record.evaluations)
        if names_by_class([group.newest], field)
    ]
    if not rows:
        return None
    row = max(rows, key=lambda row: foundation(row, record.collection_hash))
    names = names_by_class([row], field)
    chief = [name for name in names if is_chief(name)]
    shown = _class_table(row, field, classes, chief or names)
    rest = _class_table(row, field, classes, [name for name in names if name not in chief])
    if not shown.rows:
        return None
    several = record.get("config", "buckets", default=[])
    of_size = f", {row.collection.resolution} pixels" if several else ""
    when = (
        f"After {moment(record, row.subject.images_seen or 0)}{of_size}, as {row.network.name} sees "
        "them. "
        "Beneath each value: its 95% interval."
    )
    return ClassTables(when, shown, rest if chief and rest.rows else None)


def is_chief(name: str) -> bool:
    """Whether a score by class is shown at once."""
    return base_of(name) in _CHIEF and not name.endswith(INFINITY)


def _class_table(
    row: EvaluationRow, field: str, classes: Sequence[str], names: Sequence[str]
) -> PageTable:
    """A table of these scores, a row for each class that was measured."""
    notes = TableNotes()
    lines = []
    for cls in classes:
        scores = [row.score(name, field, cls) for name in names]
        if any(score is not None for score in scores):
            lines.append((cls, [counts(scores), *(cell(score, notes) for score in scores)]))
    # The network and judge are named above.
    heads = [title_of(name, by_whom=False) for name in names]
    return PageTable([field, "pictures", *heads], lines, notes.texts)


def names_by_class(rows: Sequence[EvaluationRow], field: str) -> list[str]:
    """Names of the scores by class of a field, in the order of tables."""
    names = {
        score.name
        for row in rows
        for score in row.scores
        if score.field == field and score.cls is not None and base_of(score.name) != "accuracy"
    }
    return sorted(names, key=lambda name: (place_of(name), name))


def counts(scores: Sequence[ScoreRow | None]) -> Cell:
    """A table's cell with the numbers of pictures of these scores."""
    found = [score.pictures for score in scores if score is not None]
    return Cell(f"{max(found):,}" if found else "")


def by_size(record: RunRecord, field: str, classes: Sequence[str]) -> list[str]:
    """Classes of a label field, largest first."""
    sizes = {
        name: count
        for known in record.fields
        if known.name == field
        for name, count in known.classes
    }
    return sorted(classes, key=lambda name: -sizes.get(name, 0))
