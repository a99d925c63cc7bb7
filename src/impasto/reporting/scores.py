"""Evaluations as the pages read them: which were made alike, what their scores are called, and when
one is better than another.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from impasto.diagnosis.curves import Counts
from impasto.evaluation.record import PICTURE, EvaluationRow, JudgeRecord, ScoreRow
from impasto.evaluation.score_kinds import (
    Kind,
    base_of,
    interval_text,
    kind_of,
    place_of,
    title_of,
    value_text,
)
from impasto.formatting import counted
from impasto.reporting.charts import Line
from impasto.reporting.elements import Cell


def _badness(kind: Kind, score: ScoreRow) -> tuple[float, float, float] | None:
    """(value, low, high), turned so that lower is better; None where there is no interval, or it is
    not known what is better."""
    if score.value is None or score.low is None or score.high is None:
        return None
    value, low, high = score.value, score.low, score.high
    if kind.better == "unknown":
        return None
    if kind.better == "lower":
        return value, low, high
    if kind.better == "higher":
        return -value, -high, -low
    ends = (abs(low - 1), abs(high - 1))
    return abs(value - 1), 0.0 if low <= 1 <= high else min(ends), max(ends)


_ALIKE = 1.1
"""Counts of pictures within this factor are as good as equal: seeds draw their classes."""


def best_of(name: str, scores: Sequence[ScoreRow | None]) -> int | None:
    """Which of these is the best for certain: the one whose interval overlaps that of no other.

    None where intervals overlap, where there are fewer than two, where one has no interval, and where
    they are of clearly different numbers of pictures, which alone moves some scores.
    """
    told = [(place, score) for place, score in enumerate(scores) if score is not None]
    if len(told) < 2:
        return None
    for counts in ([score.pictures for _, score in told], [score.reference for _, score in told]):
        if max(counts) > _ALIKE * min(counts):
            return None
    ranked, kind = [], kind_of(name, scores)
    for place, score in told:
        badness = _badness(kind, score)
        if badness is None:
            return None
        ranked.append((badness, place))
    ranked.sort()
    (_, _, highest), best = ranked[0]
    return best if all(highest < low for (_, low, _), _ in ranked[1:]) else None


# Tables


_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


class TableNotes:
    """Warnings beneath a table: each is said once, and pointed at by its number. Those that differ in
    their numbers only are said as one, with the range of these."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def mark(self, warning: str | None) -> int:
        """The number of a warning, for the cell it belongs to; 0 without one."""
        if not warning:
            return 0
        pattern = _NUMBER.sub("#", warning)
        self._texts.setdefault(pattern, []).append(warning)
        return list(self._texts).index(pattern) + 1

    @property
    def texts(self) -> list[str]:
        """What was said, in the order of its numbers."""
        return [_ranged(texts) for texts in self._texts.values()]


def _ranged(texts: Sequence[str]) -> str:
    """Texts that differ in their numbers only as one: `20 to 62 pictures are few`."""
    columns = iter(zip(*(_NUMBER.findall(text) for text in texts), strict=True))

    def said(_: re.Match[str]) -> str:
        numbers = sorted(set(next(columns)), key=lambda text: float(text.replace(",", "")))
        return numbers[0] if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"

    return _NUMBER.sub(said, texts[0])


def cell(score: ScoreRow | None, notes: TableNotes, *, best: bool = False) -> Cell:
    """A table's cell: the value, its interval beneath, the number of its warning."""
    if score is None:
        return Cell()
    return Cell(value_text(score), interval_text(score), notes.mark(score.warning), best)


def judged(row: EvaluationRow, name: str, of: str | None) -> ScoreRow | None:
    """A score of all pictures; a Top-1 with its judge's warning, unless it has one of its own."""
    score = row.score(name, of)
    judge = _judge(row, name, of)
    if score is None or judge is None or judge.warning is None or score.warning is not None:
        return score
    return score.model_copy(update={"warning": f"of the judge's accuracy: {judge.warning}"})


def commonest_row(
    rows: Sequence[EvaluationRow], name: str, of: str | None, *, heldout: bool
) -> tuple[str, list[Cell]] | None:
    """A table's row for beneath a Top-1: what naming all pictures as the commonest class would get, of
    each evaluation's pictures and, with `heldout`, of the held-out ones. None where that is unknown."""
    judges = [_judge(row, name, of) for row in rows]
    shares = [None if judge is None else judge.made_baseline for judge in judges]
    if all(share is None for share in shares):
        return None
    if heldout:
        shares.append(next((judge.baseline for judge in judges if judge is not None), None))
    cells = [Cell("" if share is None else f"{100 * share:.1f}%") for share in shares]
    return f"always the commonest {of}", cells


def _judge(row: EvaluationRow, name: str, of: str | None) -> JudgeRecord | None:
    """Whose Top-1 it is; None of another score."""
    if base_of(name) != "top1":
        return None
    return next((judge for judge in row.judges if judge.field == of), None)


# Which were made alike


@dataclass(frozen=True)
class Conditions:
    """All that must be equal for scores to be compared."""

    network: str
    weights_sha256: str
    resize: str
    collection_hash: str
    split: str
    reference: int
    pictures: int
    truncation: float | None
    resolution: int
    collection: str = field(compare=False)

    @classmethod
    def of(cls, row: EvaluationRow) -> "Conditions":
        return cls(
            row.network.name,
            row.network.weights_sha256,
            row.network.resize,
            row.collection.hash,
            row.reference.split,
            row.reference.pictures,
            row.pictures.count,
            row.pictures.truncation,
            row.collection.resolution,
            row.collection.name,
        )

    def __str__(self) -> str:
        cut = f" (truncation {self.truncation:g})" if self.truncation is not None else ""
        return (
            f"{counted(self.pictures, 'generated picture')}{cut} against "
            f"{counted(self.reference, PICTURE[self.split])} of {self.collection} at "
            f"{self.resolution} pixels, as {self.network} sees them"
        )


@dataclass(frozen=True)
class Alike:
    """Evaluations of one run that were made alike, so that a line may join them.

    Attributes:
        conditions: what they share.
        rows: one a moment, the earliest first.
    """

    conditions: Conditions
    rows: list[EvaluationRow]

    @property
    def images_seen(self) -> Counts:
        """[M] moments."""
        return np.array([row.subject.images_seen for row in self.rows], dtype=np.int64)

    @property
    def newest(self) -> EvaluationRow:
        return self.rows[-1]

    @property
    def overall(self) -> list[tuple[str, str | None]]:
        """(name, field of the judge) of the scores of all pictures, in the order of tables."""
        found = {
            (score.name, score.field)
            for row in self.rows
            for score in row.scores
            if score.cls is None and base_of(score.name) != "accuracy"
        }
        return sorted(found, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0]))

    def line(
        self, name: str, of: str | None = None, cls: str | None = None, *, title: str = ""
    ) -> Line | None:
        """A score over time with its intervals, one value a moment; None if it was never measured.

        Scores by class join only moments with as many pictures of each class at least.
        """
        found = [row.score(name, of, cls) for row in self.rows]
        if cls is not None:
            asked = self.newest.pictures.per_class
            found = [
                score if row.pictures.per_class == asked else None
                for row, score in zip(self.rows, found, strict=True)
            ]
        if all(score is None or score.value is None for score in found):
            return None

        def column(part: Literal["value", "low", "high"]) -> np.ndarray:
            values = [None if score is None else getattr(score, part) for score in found]
            return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

        return Line(
            title or title_of(name, of),
            column("value"),
            column("low"),
            column("high"),
            smooth=False,
        )

    def heldout(self, name: str, of: str | None = None) -> ScoreRow | None:
        """What held-out real pictures score, as told last."""
        found = (heldout_score(row, name, of) for row in reversed(self.rows))
        return next((score for score in found if score is not None), None)

    def made_baseline(self, of: str | None) -> float | None:
        """What naming all generated pictures as the commonest class would get, as told last."""
        for row in reversed(self.rows):
            for judge in row.judges:
                if judge.field == of and judge.made_baseline is not None:
                    return judge.made_baseline
        return None


def heldout_score(
    row: EvaluationRow, name: str, of: str | None = None, cls: str | None = None
) -> ScoreRow | None:
    """What held-out real pictures score against the same reference, if it was measured."""
    for score in row.heldout:
        if (score.name, score.field, score.cls) == (name, of, cls):
            return score
    # How real pictures fare under the judge is its accuracy.
    accuracy = row.score("accuracy-judge", of, cls) if base_of(name) == "top1" else None
    return accuracy if accuracy is not None and accuracy.pictures else None


def about_heldout(rows: Sequence[EvaluationRow]) -> str:
    """How the column of held-out real pictures is to be read; '' where no row has any."""
    counts = [score.pictures for row in rows for score in row.heldout if score.cls is None]
    if not counts:
        return ""
    held, made = max(counts), max(row.pictures.count for row in rows)
    says = f"A perfect model would score what held-out real pictures score, {held:,} here"
    if max(held, made) <= _ALIKE * min(held, made):
        return f"{says}."
    return f"{says}; but FD, recall and coverage depend on the number of pictures."


def replaces(row: EvaluationRow, other: EvaluationRow) -> bool:
    """Whether a later evaluation of the same checkpoint, made alike, stands for an earlier one: not if
    it was made during training and the other was not, nor if it is of fewer pictures of each class."""
    return (not row.during_training, row.pictures.per_class) >= (
        not other.during_training,
        other.pictures.per_class,
    )


def made_alike(rows: Iterable[EvaluationRow]) -> list[Alike]:
    """Evaluations by what they share, those of most moments first; of equally many, those of most
    generated pictures, then the newest."""
    found: dict[Conditions, dict[int, EvaluationRow]] = {}
    for row in rows:
        seen = row.subject.images_seen
        if row.subject.kind == "pictures" or seen is None:
            continue
        moments = found.pop(Conditions.of(row), {})
        if seen not in moments or replaces(row, moments[seen]):
            moments[seen] = row
        # Put at the end again: those written last come last.
        found[Conditions.of(row)] = moments
    groups = [
        Alike(conditions, [moments[seen] for seen in sorted(moments)])
        for conditions, moments in reversed(found.items())
    ]
    return sorted(groups, key=lambda group: (-len(group.rows), -group.conditions.pictures))


def foundation(
    row: EvaluationRow, own: str | None = None
) -> tuple[int, bool, bool, bool, int, str]:
    """How well founded an evaluation is as what is told of the run now, to be compared: of the newest
    checkpoint; against the run's own collection, of content hash `own`; not made during training; not
    truncated; of the most pictures; the newest."""
    return (
        row.subject.images_seen or 0,
        row.collection.hash == own,
        not row.during_training,
        row.pictures.truncation is None,
        row.pictures.count,
        row.created,
    )


def best_founded(groups: Sequence[Alike], own: str | None = None) -> list[Alike]:
    """Of each feature network, by name, the group whose newest evaluation is the best founded, the best
    of all first: tables, sheets and findings are of that evaluation."""
    chosen: dict[str, Alike] = {}
    for group in sorted(groups, key=lambda group: foundation(group.newest, own), reverse=True):
        chosen.setdefault(group.conditions.network, group)
    return list(chosen.values())


def is_curve(line: Line) -> bool:
    """Whether a line has two moments or more: one is a table's business."""
    return int(np.isfinite(line.values).sum()) > 1
